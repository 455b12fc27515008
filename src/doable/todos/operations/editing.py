"""What is there is changed: a field, whether it is done, whether it is in the trash."""

from collections.abc import Mapping
from datetime import datetime
from functools import partial
from typing import Any, NamedTuple
from uuid import UUID

from doable.accounts.access import Actor
from doable.core import changes
from doable.core.changes import AtOnce, Change, Changed, Ready, Written
from doable.core.db import Transaction
from doable.core.events import Event
from doable.core.queries import Reader, Write
from doable.core.versions import Expected
from doable.todos import access, events, fields, statements
from doable.todos.operations import completion, trees
from doable.todos.operations.completion import Once
from doable.todos.operations.trees import Step
from doable.todos.statements import TodoRow
from doable.todos.statements.trees import SUBTASKS

ANY_TIME = Once()
_MORE = frozenset({"completed", "deleted"})
"""What happens to subtasks too, and to occurrences."""


async def complete(
    tx: Transaction,
    actor: Actor,
    todo_id: UUID,
    at: datetime | None = None,
    expected: Expected | None = None,
    once: Once = ANY_TIME,
) -> Changed[TodoRow]:
    """With all that is open below it; nothing happens to a todo that is completed already.

    One that recurs is due again, once for each occurrence, and what is below it is open again, unless that recurs too.
    """
    return await update(tx, actor, todo_id, {"completed": at or True}, expected, once)


async def update(
    tx: Transaction,
    actor: Actor,
    todo_id: UUID,
    wanted: Mapping[str, object],
    expected: Expected | None = None,
    once: Once = ANY_TIME,
) -> Changed[TodoRow]:
    """Apply members of a todo by their names on the wire; what is not in `wanted` is not touched.

    Raises `PRECONDITION_FAILED` unless the todo has an `expected` version, as all that changes one does, and
    `OCCURRENCE_REQUIRED` where a recurring todo would be completed and nothing says which time is meant.
    """
    return await changes.apply(tx, _change(todo_id, _Edit(actor, wanted, expected, once)))


async def update_alone(
    tx: Transaction, actor: Actor, todo_id: UUID, wanted: Mapping[str, object], expected: Expected | None, once: Once
) -> Changed[TodoRow]:
    """`update`, as all that the transaction does."""
    edit = _Edit(actor, wanted, expected, once)
    change = _change(todo_id, edit)
    if not _MORE.intersection(wanted):
        find = partial(access.writable_with_stream, actor=actor, todo_id=todo_id)
        change = change._replace(at_once=AtOnce(find, edit.ready))
    return await changes.apply(tx, change)


async def reopen(tx: Transaction, actor: Actor, todo_id: UUID, expected: Expected | None = None) -> Changed[TodoRow]:
    return await update(tx, actor, todo_id, {"completed": False}, expected)


async def delete(tx: Transaction, actor: Actor, todo_id: UUID, expected: Expected | None = None) -> Changed[TodoRow]:
    """Put a todo in the trash, with all below it; nothing happens to one that is there already."""
    return await update(tx, actor, todo_id, {"deleted": True}, expected)


def _change(todo_id: UUID, edit: "_Edit") -> Change[TodoRow]:
    async def find(reader: Reader) -> TodoRow:
        return await access.writable(reader, edit.actor, todo_id)

    return Change(
        find=find,
        shows=lambda row: (row.version,),
        stream=lambda row: row.list_id,
        differences=edit.differences,
        write=edit.write,
        event=edit.event,
        actor_id=edit.actor.user_id,
        refuse=edit.refuse,
        expected=edit.expected,
    )


class _Edit(NamedTuple):
    actor: Actor
    wanted: Mapping[str, object]
    expected: Expected | None
    once: Once

    def refuse(self, row: TodoRow) -> None:
        if self.expected is None:
            completion.require_once(row, self.wanted, self.once)
        if "deleted" not in self.wanted:
            access.refuse_trashed(row)

    def differences(self, row: TodoRow, now: datetime) -> dict[str, Any]:
        new = completion.columns(self.actor, row, self.wanted, self.once, now)
        return {field: value for field, value in new.items() if getattr(row, field) != value}

    async def write(
        self, tx: Transaction, row: TodoRow, new: Mapping[str, Any], now: datetime
    ) -> Written[TodoRow] | None:
        taken = await completion.taken_back(tx, row, new)
        new = {**new, **taken}
        after = row._replace(updated_at=now, **new)
        columns = fields.stored(after, new)
        renewed = await tx.first(statements.update_todo(frozenset(columns)), **self._parameters(row, columns, now))
        if renewed is None:
            await access.writable(tx, self.actor, row.id)
            await access.refuse_assignee(tx, row.list_id, new.get("assignee_id"))
            return None
        await completion.note(tx, self.actor, row, self.wanted, now, taken)
        written = after._replace(version=renewed.version)
        return Written(written, await self._take_along(tx, row, written) if renewed.has_subtasks else ())

    def ready(self, row: TodoRow, new: Mapping[str, Any], now: datetime) -> Ready[TodoRow]:
        after = row._replace(updated_at=now, version=row.version + 1, **new)
        columns = fields.stored(after, new)
        write = Write(statements.update_todos(frozenset(columns)), self._parameters(row, columns, now))
        told, text = events.edited(row, after)
        return Ready(after, text, write, told)

    def _parameters(self, row: TodoRow, columns: Mapping[str, Any], now: datetime) -> dict[str, Any]:
        return {
            "actor_id": self.actor.user_id,
            "todo_id": row.id,
            "home_id": row.list_id,
            "seen": row.version,
            "now": now,
            **{f"new_{column}": value for column, value in columns.items()},
        }

    def event(self, before: TodoRow, after: TodoRow) -> Event:
        return events.changed(before, after, completion.occurrence(before, self.wanted, after.updated_at))

    async def _take_along(self, tx: Transaction, before: TodoRow, after: TodoRow) -> list[Event]:
        """What happens to subtasks: they are done and deleted with what is above them, and open again when it rolls."""
        if before.deleted_at != after.deleted_at:
            new: dict[str, Any] = {"deleted_at": after.deleted_at, "deleted_with": after.id}
        elif before.completed_at is None and after.completed_at is not None:
            new = {"completed_at": after.completed_at}
        elif after.completed_at is None and completion.occurrence(before, self.wanted, after.updated_at) is not None:
            new = {"completed_at": None}
        else:
            return []
        subtasks = await tx.all(SUBTASKS, actor_id=self.actor.user_id, todo_id=after.id)
        steps = [
            Step(row, row._replace(**new, updated_at=after.updated_at, version=row.version + 1))
            for row in subtasks
            if _goes_along(row, new)
        ]
        await trees.write(tx, self.actor, steps)
        return [events.changed(*step) for step in steps]


def _goes_along(row: TodoRow, new: Mapping[str, Any]) -> bool:
    if "completed_at" not in new:
        return True
    if new["completed_at"] is None:  # what recurs is due by its own rule, not by that of the todo above
        return row.completed_at is not None and row.rule is None
    return row.completed_at is None
