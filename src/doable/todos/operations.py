"""What may happen to a todo. No HTTP here."""

from collections.abc import Collection
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from doable.accounts.access import Actor
from doable.core import clock, streams, text, versions
from doable.core.db import Transaction
from doable.core.errors import AppException, Code, not_found
from doable.core.versions import Expected
from doable.lists import access as lists_access
from doable.todos import access, ordering, statements
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
    made = await _insert(tx, actor, list_id, new)
    if made.revision is None:
        raise _taken()
    return made


async def put(tx: Transaction, actor: Actor, list_id: UUID, new: New, members: Collection[str]) -> Change:
    """Create, or find that just this is there already: then nothing happens. Only `members` are compared.

    Raises `ALREADY_EXISTS` and `IN_TRASH`; nothing is ever overwritten.
    """
    made = await _insert(tx, actor, list_id, new)
    if made.revision is not None:
        return made
    present = await tx.first(statements.TODO, actor_id=actor.user_id, todo_id=new.id)
    if present is None:
        raise _taken()
    lists_access.require(present.role, lists_access.WRITERS)
    access.refuse_trashed(present)
    if any(getattr(present, name) != getattr(made.todo, name) for name in members):
        raise _taken()
    await streams.take_back(tx, list_id)
    return Change(present, None)


async def update(
    tx: Transaction, actor: Actor, todo_id: UUID, changes: dict[str, object], expected: Expected | None = None
) -> Change:
    """Apply `title`, `description`, `priority` and `completed`; what is not in `changes` is not touched.

    Raises `PRECONDITION_FAILED` unless the todo has the `expected` version.
    """
    row = await access.writable(tx, actor, todo_id)
    versions.check(expected, row.version)
    access.refuse_trashed(row)
    return await _change(tx, actor, row, changes, expected)


async def complete(
    tx: Transaction, actor: Actor, todo_id: UUID, at: datetime | None = None, expected: Expected | None = None
) -> Change:
    """Nothing happens to a todo that is completed already."""
    return await update(tx, actor, todo_id, {"completed": at or True}, expected)


async def reopen(tx: Transaction, actor: Actor, todo_id: UUID, expected: Expected | None = None) -> Change:
    return await update(tx, actor, todo_id, {"completed": False}, expected)


async def delete(tx: Transaction, actor: Actor, todo_id: UUID, expected: Expected | None = None) -> Change:
    """Put a todo in the trash; nothing happens to one that is there already."""
    row = await access.writable(tx, actor, todo_id)
    versions.check(expected, row.version)
    if row.deleted_at is not None:
        return Change(row, None)
    return await _change(tx, actor, row, {"deleted_at": clock.now()}, expected)


async def _insert(tx: Transaction, actor: Actor, list_id: UUID, new: New) -> Change:
    """The revision is `None` when the id is taken; the stream has been raised for nothing then."""
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
    inserted = await tx.execute(statements.INSERT_TODO, **values)
    return Change(row, revision if inserted else None)


def _taken() -> AppException:
    return AppException(Code.ALREADY_EXISTS, "This id is taken.")


async def _change(
    tx: Transaction, actor: Actor, row: TodoRow, changes: dict[str, object], expected: Expected | None
) -> Change:
    now = clock.now()
    new = _new_values(row, changes, now)
    if not new:
        return Change(row, None)
    revision = await streams.bump(tx, row.list_id)
    changed = await _write(tx, actor, row, new, now)
    if changed is None:  # somebody was quicker between our read and our lock: read again, with the lock in hand
        row = await access.writable(tx, actor, row.id)
        versions.check(expected, row.version)
        access.refuse_trashed(row)
        new = _new_values(row, changes, now)
        if not new:
            await streams.take_back(tx, row.list_id)
            return Change(row, None)
        changed = await _write(tx, actor, row, new, now)
    if changed is None:
        raise not_found("todo")
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
    """The columns that would differ; `completed` becomes an instant, the sort key follows the title."""
    wanted = dict(changes)
    if (completed := wanted.pop("completed", None)) is not None:
        given = completed if isinstance(completed, datetime) else now
        wanted["completed_at"] = (row.completed_at or given) if completed else None
    if isinstance(title := wanted.get("title"), str):
        wanted["title_key"] = text.key(title)
    return {field: value for field, value in wanted.items() if getattr(row, field) != value}
