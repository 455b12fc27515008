"""What may happen to a todo. No HTTP here."""

from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from doable.accounts.access import Actor
from doable.core import clock, streams, text
from doable.core import events as log
from doable.core.db import Transaction, UniqueViolation
from doable.core.errors import AppException, Code, not_found
from doable.lists import access as lists_access
from doable.todos import access, events, ordering, statements
from doable.todos.statements import TodoRow


class New(NamedTuple):
    """What a person decides of a new todo."""

    id: UUID
    title: str
    description: str | None
    priority: int


class Change(NamedTuple):
    """A todo after an operation, and the revision of its list that it made, `None` when nothing changed."""

    todo: TodoRow
    revision: int | None


async def create(tx: Transaction, actor: Actor, list_id: UUID, new: New) -> Change:
    """Raises `ALREADY_EXISTS` for an id that is taken, whoever has it."""
    home = await lists_access.visible(tx, actor, list_id)
    lists_access.require(home.role, lists_access.WRITERS)
    revision = await streams.bump(tx, list_id)
    now = clock.now()
    row = TodoRow(
        id=new.id,
        list_id=list_id,
        position=ordering.at_end(revision),
        title=new.title,
        title_key=text.key(new.title),
        description=new.description,
        priority=new.priority,
        completed_at=None,
        created_by=actor.user_id,
        created_at=now,
        updated_at=now,
        deleted_at=None,
        version=1,
        role=home.role,
    )
    values = row._asdict()
    del values["role"]
    try:
        await tx.execute(statements.INSERT_TODO, **values)
    except UniqueViolation:
        raise AppException(Code.ALREADY_EXISTS, "This id is taken.") from None
    await log.append(tx, list_id, revision, log.operation(actor.user_id, now), events.created(row))
    return Change(row, revision)


async def update(tx: Transaction, actor: Actor, todo_id: UUID, changes: dict[str, object]) -> Change:
    """Apply `title`, `description`, `priority` and `completed`; what is not in `changes` is not touched."""
    row = await access.writable(tx, actor, todo_id)
    return await _change(tx, actor, row, changes)


async def complete(tx: Transaction, actor: Actor, todo_id: UUID, at: datetime | None = None) -> Change:
    """Nothing happens to a todo that is completed already."""
    return await update(tx, actor, todo_id, {"completed": at or True})


async def reopen(tx: Transaction, actor: Actor, todo_id: UUID) -> Change:
    return await update(tx, actor, todo_id, {"completed": False})


async def delete(tx: Transaction, actor: Actor, todo_id: UUID) -> Change:
    """Put a todo in the trash; nothing happens to one that is there already."""
    row = await access.writable(tx, actor, todo_id)
    return await _change(tx, actor, row, {"deleted": True})


async def _change(tx: Transaction, actor: Actor, row: TodoRow, changes: dict[str, object]) -> Change:
    if not _new_values(row, changes, clock.now()):
        return Change(row, None)
    revision = await streams.bump(tx, row.list_id)
    now = clock.now()  # after the wait for the lock: the log's instants rise with its revisions
    changed = await _write(tx, actor, row, _new_values(row, changes, now), now)
    if changed is None:  # somebody was quicker between our read and our lock: read again, with the lock in hand
        row = await access.writable(tx, actor, row.id)
        new = _new_values(row, changes, now)
        if not new:
            await streams.take_back(tx, row.list_id)
            return Change(row, None)
        changed = await _write(tx, actor, row, new, now)
    if changed is None:
        raise not_found("todo")
    await log.append(tx, row.list_id, revision, log.operation(actor.user_id, now), events.changed(row, changed))
    return Change(changed, revision)


async def _write(tx: Transaction, actor: Actor, row: TodoRow, new: dict[str, Any], now: datetime) -> TodoRow | None:
    version = await tx.first(
        statements.update_todo(frozenset(new)),
        actor_id=actor.user_id,
        todo_id=row.id,
        home_id=row.list_id,
        seen=row.version,
        now=now,
        **{f"new_{field}": value for field, value in new.items()},
    )
    return None if version is None else row._replace(updated_at=now, version=version, **new)


def _new_values(row: TodoRow, changes: dict[str, object], now: datetime) -> dict[str, Any]:
    """The columns that would differ; flags become instants, the sort key follows the title. Raises `IN_TRASH`."""
    wanted = dict(changes)
    if wanted.pop("deleted", False):
        wanted["deleted_at"] = row.deleted_at or now
    else:
        access.refuse_trashed(row)
    if (completed := wanted.pop("completed", None)) is not None:
        given = completed if isinstance(completed, datetime) else now
        wanted["completed_at"] = (row.completed_at or given) if completed else None
    if isinstance(title := wanted.get("title"), str):
        wanted["title_key"] = text.key(title)
    return {field: value for field, value in wanted.items() if getattr(row, field) != value}
