"""What is there is changed: a field, whether it is done, whether it is in the trash."""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from doable.accounts.access import Actor
from doable.core import changes
from doable.core.changes import Change, Changed, Written
from doable.core.db import Transaction
from doable.core.events import Event
from doable.core.queries import Reader
from doable.core.versions import Expected
from doable.todos import access, events, fields, statements
from doable.todos.operations import trees
from doable.todos.operations.trees import Step
from doable.todos.statements import TodoRow
from doable.todos.statements.trees import SUBTASKS


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
    """With all that is open below it; nothing happens to a todo that is completed already."""
    return await update(tx, actor, todo_id, {"completed": at or True}, expected)


async def reopen(tx: Transaction, actor: Actor, todo_id: UUID, expected: Expected | None = None) -> Changed[TodoRow]:
    return await update(tx, actor, todo_id, {"completed": False}, expected)


async def delete(tx: Transaction, actor: Actor, todo_id: UUID, expected: Expected | None = None) -> Changed[TodoRow]:
    """Put a todo in the trash, with all below it; nothing happens to one that is there already."""
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

    async def write(tx: Transaction, row: TodoRow, new: Mapping[str, Any], now: datetime) -> Written[TodoRow] | None:
        return await _write(tx, actor, row, new, now)

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


async def _write(
    tx: Transaction, actor: Actor, row: TodoRow, new: Mapping[str, Any], now: datetime
) -> Written[TodoRow] | None:
    renewed = await tx.first(
        statements.update_todo(frozenset(new)),
        actor_id=actor.user_id,
        todo_id=row.id,
        home_id=row.list_id,
        seen=row.version,
        now=now,
        **{f"new_{field}": value for field, value in new.items()},
    )
    if renewed is None:
        return None
    written = row._replace(updated_at=now, version=renewed.version, **new)
    return Written(written, await _take_along(tx, actor, row, written) if renewed.has_subtasks else ())


async def _take_along(tx: Transaction, actor: Actor, before: TodoRow, after: TodoRow) -> list[Event]:
    """What happens to subtasks when a todo is completed or deleted; nothing when it is opened again."""
    if before.deleted_at != after.deleted_at:
        new: dict[str, Any] = {"deleted_at": after.deleted_at, "deleted_with": after.id}
    elif before.completed_at is None and after.completed_at is not None:
        new = {"completed_at": after.completed_at}
    else:
        return []
    subtasks = await tx.all(SUBTASKS, actor_id=actor.user_id, todo_id=after.id)
    steps = [
        Step(row, row._replace(**new, updated_at=after.updated_at, version=row.version + 1))
        for row in subtasks
        if "completed_at" not in new or row.completed_at is None
    ]
    await trees.write(tx, actor, steps)
    return [events.changed(*step) for step in steps]
