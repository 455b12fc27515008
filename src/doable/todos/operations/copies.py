"""Todos that were made elsewhere come to be, many at once."""

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Any, NamedTuple
from uuid import UUID

from doable.accounts.access import Actor
from doable.core import clock, streams
from doable.core import events as log
from doable.core.db import SerializationFailure, Transaction
from doable.core.events import Event
from doable.todos import events, fields, ordering, statements
from doable.todos.operations import creation
from doable.todos.operations.creation import New
from doable.todos.statements import TodoRow, copies


class Copy(NamedTuple):
    """A todo as it was: `wanted` are members of the wire; what came to it in its life has the names of columns.

    `done` and `anchor` say how far its recurrence is.
    """

    id: UUID
    parent_id: UUID | None
    wanted: Mapping[str, object]
    completed_at: datetime | None
    created_at: datetime | None
    deleted_at: datetime | None
    deleted_with: UUID | None
    done: int
    anchor: date | None


class OccurrenceCopy(NamedTuple):
    """By its columns."""

    todo_id: UUID
    number: int
    due_date: str
    due_time: str | None
    due_timezone: str | None
    due_at: datetime | None
    completed_at: datetime


async def write(tx: Transaction, actor: Actor, homes: Mapping[UUID, Sequence[Copy]]) -> None:
    """Add copies to the end of lists that the transaction has locked, in their order.

    The caller has looked, under these locks, that the actor may write there, that the ids are free and that every
    parent is in the same list, there already or before its subtasks.
    """
    revisions = await streams.lock(tx, homes)
    now = clock.now()
    made: list[TodoRow] = []
    told: dict[UUID, list[Event]] = {}
    for list_id, arriving in homes.items():
        its = told[list_id] = []
        for copy in arriving:
            row = _row(actor, list_id, ordering.at_end(revisions[list_id] + len(its) + 1), copy, now)
            alive = row._replace(deleted_at=None, deleted_with=None)
            its.append(events.created(alive))
            if row.deleted_at is not None:
                its.append(events.changed(alive, row))
            made.append(row)
    await tx.many(statements.INSERT_TODO, (_values(actor, row) for row in made))
    wanted = {"todo_ids": [row.id for row in made], "list_ids": list(homes)}
    if await tx.one(copies.ARRIVED, **wanted) != len(made):
        raise SerializationFailure("somebody else has taken one of the ids")
    await log.record(tx, log.operation(actor.user_id, now), {list_id: its for list_id, its in told.items() if its})


async def write_occurrences(tx: Transaction, actor: Actor, arriving: Sequence[OccurrenceCopy]) -> None:
    """Add to the history of todos that the actor has made; what is there already stays as it is."""
    values = ({**copy._asdict(), "completed_by": actor.user_id, "actor_id": actor.user_id} for copy in arriving)
    await tx.many(copies.INSERT_OCCURRENCE, values)


def _row(actor: Actor, list_id: UUID, position: str, copy: Copy, now: datetime) -> TodoRow:
    row = creation.new_row(actor, New(copy.id, copy.wanted), list_id, position, "", now)
    if row.rule is not None:
        row = row._replace(done=copy.done, anchor=row.anchor if copy.anchor is None else copy.anchor.isoformat())
    return row._replace(
        parent_id=copy.parent_id,
        completed_at=copy.completed_at,
        created_at=min(copy.created_at or now, now),
        deleted_at=copy.deleted_at and min(copy.deleted_at, now),
        deleted_with=copy.deleted_with,
    )


def _values(actor: Actor, row: TodoRow) -> dict[str, Any]:
    values = row._asdict()
    del values["role"]
    return {**values, "terms": fields.terms(row), "actor_id": actor.user_id}
