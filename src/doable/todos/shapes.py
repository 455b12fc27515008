"""Rows as the wire shows them, in answers and in events alike."""

from datetime import datetime
from uuid import UUID

import orjson
from pydantic import JsonValue

from doable.core import clock
from doable.todos import due as dues
from doable.todos.schemas import Due, OccurrenceResponse, Recurrence, TodoResponse
from doable.todos.statements import OccurrenceRow, TodoRow


def wire(row: TodoRow) -> dict[str, JsonValue]:
    """What JSON says of `shown(row)`: we wrote the row, so nothing of it is validated before it is written out."""
    return from_columns(*row[:-5])


def from_columns(  # noqa: PLR0913, PLR0917 — read by place and not by name, a page of rows takes two thirds of the time
    id: UUID, list_id: UUID, parent_id: UUID | None, position: str, title: str, description: str | None, priority: int,  # noqa: A002 — as the column is called
    completed_at: datetime | None, due_date: str | None, due_time: str | None, due_timezone: str | None,
    due_at: datetime | None, rule: str | None, basis: str | None, done: int, labels: str, assignee_id: UUID | None,
    created_by: UUID, created_at: datetime, updated_at: datetime, deleted_at: datetime | None, version: int,
) -> dict[str, JsonValue]:  # fmt: skip
    """`wire` of a row that has nothing but what is shown."""
    created = clock.iso(created_at)
    return {
        "id": str(id),
        "list_id": str(list_id),
        "parent_id": None if parent_id is None else str(parent_id),
        "position": position,
        "title": title,
        "description": description,
        "priority": priority,
        "completed": completed_at is not None,
        "completed_at": None if completed_at is None else clock.iso(completed_at),
        "due": None
        if due_date is None
        else {
            "date": due_date,
            "time": due_time,
            "timezone": due_timezone,
            "at": None if due_at is None else clock.iso(due_at),
        },
        "recurrence": None if rule is None else {"rule": rule, "basis": basis, "done": done},
        "labels": orjson.loads(labels),
        "assignee_id": None if assignee_id is None else str(assignee_id),
        "created_by": str(created_by),
        "created_at": created,
        "updated_at": created if updated_at == created_at else clock.iso(updated_at),
        "deleted_at": None if deleted_at is None else clock.iso(deleted_at),
        "version": version,
    }


def text(row: TodoRow) -> bytes:
    """`wire` as it is written out."""
    return orjson.dumps(wire(row))


def shown(row: TodoRow) -> TodoResponse:
    return TodoResponse(
        id=row.id,
        list_id=row.list_id,
        parent_id=row.parent_id,
        position=row.position,
        title=row.title,
        description=row.description,
        priority=row.priority,
        completed=row.completed_at is not None,
        completed_at=row.completed_at,
        due=_due(row),
        recurrence=None
        if row.rule is None
        else Recurrence.model_validate({"rule": row.rule, "basis": row.basis, "done": row.done}),
        labels=orjson.loads(row.labels),
        assignee_id=row.assignee_id,
        created_by=row.created_by,
        created_at=row.created_at,
        updated_at=row.updated_at,
        deleted_at=row.deleted_at,
        version=row.version,
    )


def due(value: dues.Due) -> Due:
    time = None if value.time is None else value.time.isoformat("minutes")
    return Due(date=value.date.isoformat(), time=time, timezone=value.timezone, at=dues.instant(value))


def occurrence(row: OccurrenceRow) -> OccurrenceResponse:
    return OccurrenceResponse(
        due=Due(date=row.due_date, time=row.due_time, timezone=row.due_timezone, at=row.due_at),
        completed_at=row.completed_at,
        completed_by=row.completed_by,
    )


def _due(row: TodoRow) -> Due | None:
    if row.due_date is None:
        return None
    return Due(date=row.due_date, time=row.due_time, timezone=row.due_timezone, at=row.due_at)
