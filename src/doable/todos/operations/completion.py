"""What it means to complete a todo that recurs: it is done once, noted, and due again."""

from collections.abc import Mapping
from datetime import date, datetime
from typing import Any, NamedTuple

from doable.accounts.access import Actor
from doable.core import clock
from doable.core.db import Transaction
from doable.core.errors import AppException, Code
from doable.todos import fields, schedule, statements
from doable.todos.due import Due
from doable.todos.statements import TodoRow

type Wanted = Mapping[str, object]


class Once(NamedTuple):
    """What keeps a completion that is sent twice from completing two occurrences, where no version does.

    `occurrence`: the date of the one that is meant; `keyed`: the request has an idempotency key.
    """

    occurrence: date | None = None
    keyed: bool = False


def require_once(row: TodoRow, wanted: Wanted, once: Once) -> None:
    """Raises `OCCURRENCE_REQUIRED`."""
    if once == Once() and occurrence(row, wanted, clock.now()) is not None:
        raise AppException(
            Code.OCCURRENCE_REQUIRED,
            "This todo recurs: say which time is meant by `occurrence` (its due date), If-Match or Idempotency-Key.",
        )


def columns(actor: Actor, row: TodoRow, wanted: Wanted, once: Once, now: datetime) -> Mapping[str, Any]:
    """None, when another occurrence than this one is meant: it has been done already."""
    new = fields.columns(row, wanted, now)
    due = schedule.completes(row, new)
    if due is not None and once.occurrence not in {None, due.date}:
        return {}
    return schedule.rolled(row, new, actor.timezone)


def occurrence(row: TodoRow, wanted: Wanted, now: datetime) -> Due | None:
    """What `wanted` completes of a recurring todo that is open."""
    return schedule.completes(row, fields.columns(row, wanted, now))


async def taken_back(tx: Transaction, row: TodoRow, new: Mapping[str, Any]) -> Mapping[str, Any]:
    """What else changes when these columns reopen a recurring todo after its last time: that has not been done then.

    One that was completed otherwise, together with the todo that it is below, has no occurrence of that moment.
    """
    after = row._replace(**new)
    if row.completed_at is None or after.completed_at is not None or not after.done:
        return {}
    last = await tx.first(statements.LAST_OCCURRENCE, todo_id=row.id)
    if last is None or (last.completed_at, schedule.due_of(last)) != (row.completed_at, schedule.due_of(after)):
        return {}
    return {"done": after.done - 1}


async def note(
    tx: Transaction, actor: Actor, row: TodoRow, wanted: Wanted, now: datetime, taken: Mapping[str, Any]
) -> None:
    """Write down the occurrence that has been completed, or that the last one was `taken` back."""
    if taken:
        await tx.execute(statements.DELETE_LAST_OCCURRENCE, noted_id=row.id)
        return
    new = fields.columns(row, wanted, now)
    due = schedule.completes(row, new)
    if due is None:
        return
    noted = schedule.due_columns(due)
    del noted["due_key"]
    await tx.execute(
        statements.INSERT_OCCURRENCE,
        todo_id=row.id,
        noted_id=row.id,
        completed_at=new["completed_at"],
        completed_by=actor.user_id,
        **noted,
    )
