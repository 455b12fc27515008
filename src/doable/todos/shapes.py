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
    created_at = clock.iso(row.created_at)
    return {
        "id": str(row.id),
        "list_id": str(row.list_id),
        "parent_id": _id(row.parent_id),
        "position": row.position,
        "title": row.title,
        "description": row.description,
        "priority": row.priority,
        "completed": row.completed_at is not None,
        "completed_at": _instant(row.completed_at),
        "due": None
        if row.due_date is None
        else {"date": row.due_date, "time": row.due_time, "timezone": row.due_timezone, "at": _instant(row.due_at)},
        "recurrence": None if row.rule is None else {"rule": row.rule, "basis": row.basis, "done": row.done},
        "labels": orjson.loads(row.labels),
        "assignee_id": _id(row.assignee_id),
        "created_by": str(row.created_by),
        "created_at": created_at,
        "updated_at": created_at if row.updated_at == row.created_at else clock.iso(row.updated_at),
        "deleted_at": _instant(row.deleted_at),
        "version": row.version,
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


def _id(value: UUID | None) -> str | None:
    return None if value is None else str(value)


def _instant(value: datetime | None) -> str | None:
    return None if value is None else clock.iso(value)


def _due(row: TodoRow) -> Due | None:
    if row.due_date is None:
        return None
    return Due(date=row.due_date, time=row.due_time, timezone=row.due_timezone, at=row.due_at)
