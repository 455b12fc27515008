"""What is there is changed: a field, whether it is done, whether it is in the trash."""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from doable.accounts.access import Actor
from doable.core import changes
from doable.core.changes import Change, Changed
from doable.core.db import Transaction
from doable.core.queries import Reader
from doable.core.versions import Expected
from doable.todos import access, events, fields, statements
from doable.todos.statements import TodoRow


async def update(
    tx: Transaction, actor: Actor, todo_id: UUID, wanted: Mapping[str, object], expected: Expected | None = None
) -> Changed[TodoRow]:
    """Apply members of a todo by their names on the wire; what is not in `wanted` is not touched.

    Raises `PRECONDITION_FAILED` unless the todo has an `expected` version, as all that changes one does.
    """
    return await _change(tx, actor, todo_id, wanted, expected, access.refuse_trashed)


async def complete(
    tx: Transaction, actor: Actor, todo_id: UUID, at: datetime | None = None, expected: Expected | None = None
) -> Changed[TodoRow]:
    """Nothing happens to a todo that is completed already."""
    return await update(tx, actor, todo_id, {"completed": at or True}, expected)


async def reopen(tx: Transaction, actor: Actor, todo_id: UUID, expected: Expected | None = None) -> Changed[TodoRow]:
    return await update(tx, actor, todo_id, {"completed": False}, expected)


async def delete(tx: Transaction, actor: Actor, todo_id: UUID, expected: Expected | None = None) -> Changed[TodoRow]:
    """Put a todo in the trash; nothing happens to one that is there already."""
    return await _change(tx, actor, todo_id, {"deleted": True}, expected)


async def _change(
    tx: Transaction,
    actor: Actor,
    todo_id: UUID,
    wanted: Mapping[str, object],
    expected: Expected | None,
    refuse: Callable[[TodoRow], None] | None = None,
) -> Changed[TodoRow]:
    async def find(reader: Reader) -> TodoRow:
        return await access.writable(reader, actor, todo_id)

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
        new = fields.columns(row, wanted, now)
        return {field: value for field, value in new.items() if getattr(row, field) != value}

    change = Change(
        find=find,
        shows=lambda row: (row.version,),
        stream=lambda row: row.list_id,
        differences=differences,
        write=write,
        event=events.changed,
        actor_id=actor.user_id,
        refuse=refuse,
        expected=expected,
    )
    return await changes.apply(tx, change)
