"""Rows as the wire shows them, in answers and in events alike."""

import orjson

from doable.todos.schemas import Due, Recurrence, TodoResponse
from doable.todos.statements import TodoRow


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


def _due(row: TodoRow) -> Due | None:
    if row.due_date is None:
        return None
    return Due(date=row.due_date, time=row.due_time, timezone=row.due_timezone, at=row.due_at)
