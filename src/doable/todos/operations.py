"""What may happen to a todo. No HTTP here."""

from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from doable.accounts.access import Actor
from doable.core import changes, clock, streams, text
from doable.core import events as log
from doable.core.changes import Change, Changed
from doable.core.db import SerializationFailure, Transaction, UniqueViolation
from doable.core.errors import AppException, Code
from doable.core.queries import Reader
from doable.lists import access as lists_access
from doable.todos import access, events, ordering, statements
from doable.todos.statements import TodoRow

SORTED_LENGTH = 200
"""Code points of a title that count for its order: compatibility forms can be eighteen times as long as the title."""


class New(NamedTuple):
    """What a person decides of a new todo."""

    id: UUID
    title: str
    description: str | None
    priority: int


type Find = Callable[[Reader], Awaitable[TodoRow]]


async def create(tx: Transaction, actor: Actor, list_id: UUID, new: New) -> Changed[TodoRow]:
    """Raises `ALREADY_EXISTS` for an id that is taken, whoever has it."""
    home = await lists_access.writable(tx.ahead, actor, list_id)
    revision = await streams.bump(tx, list_id)
    row = _new_row(actor, list_id, new, ordering.at_end(revision), home.role)
    values = row._asdict()
    del values["role"]
    try:
        written = await tx.execute(statements.INSERT_TODO, actor_id=actor.user_id, **values)
    except UniqueViolation:
        raise AppException(Code.ALREADY_EXISTS, "This id is taken.") from None
    if not written:  # since we looked, the list has been deleted, or the actor's role has changed
        await lists_access.writable(tx, actor, list_id)
        raise SerializationFailure("the list changes faster than it can be read")
    cause = log.operation(actor.user_id, row.created_at)
    await log.append(tx, list_id, revision, cause, events.created(row))
    return Changed(row, revision)


async def update(tx: Transaction, actor: Actor, todo_id: UUID, wanted: dict[str, object]) -> Changed[TodoRow]:
    """Apply `title`, `description`, `priority` and `completed`; what is not in `wanted` is not touched."""

    async def find(reader: Reader) -> TodoRow:
        row = await access.writable(reader, actor, todo_id)
        access.refuse_trashed(row)
        return row

    return await _change(tx, actor, find, wanted)


async def complete(tx: Transaction, actor: Actor, todo_id: UUID, at: datetime | None = None) -> Changed[TodoRow]:
    """Nothing happens to a todo that is completed already."""
    return await update(tx, actor, todo_id, {"completed": at or True})


async def reopen(tx: Transaction, actor: Actor, todo_id: UUID) -> Changed[TodoRow]:
    return await update(tx, actor, todo_id, {"completed": False})


async def delete(tx: Transaction, actor: Actor, todo_id: UUID) -> Changed[TodoRow]:
    """Put a todo in the trash; nothing happens to one that is there already."""

    async def find(reader: Reader) -> TodoRow:
        return await access.writable(reader, actor, todo_id)

    return await _change(tx, actor, find, {"deleted": True})


async def _change(tx: Transaction, actor: Actor, find: Find, wanted: dict[str, object]) -> Changed[TodoRow]:
    async def write(tx: Transaction, row: TodoRow, new: Mapping[str, Any], now: datetime) -> TodoRow | None:
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

    def differences(row: TodoRow, now: datetime) -> dict[str, Any]:
        return _differences(row, wanted, now)

    change = Change(find, lambda row: row.list_id, differences, write, events.changed, actor.user_id)
    return await changes.apply(tx, change)


def _differences(row: TodoRow, wanted: dict[str, object], now: datetime) -> dict[str, Any]:
    """`completed` and `deleted` become instants; the sort key follows the title."""
    new = changes.instants(row, wanted, now, "completed", "deleted")
    if isinstance(title := new.get("title"), str):
        new["title_key"] = sort_key(title)
    return {field: value for field, value in new.items() if getattr(row, field) != value}


def _new_row(actor: Actor, list_id: UUID, new: New, position: str, role: str) -> TodoRow:
    now = clock.now()
    return TodoRow(
        id=new.id,
        list_id=list_id,
        position=position,
        title=new.title,
        title_key=sort_key(new.title),
        description=new.description,
        priority=new.priority,
        completed_at=None,
        created_by=actor.user_id,
        created_at=now,
        updated_at=now,
        deleted_at=None,
        version=1,
        role=role,
    )


def sort_key(title: str) -> str:
    """Titles that are equal so far are in the order of their ids."""
    return text.key(title)[:SORTED_LENGTH]
