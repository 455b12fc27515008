"""Reminders as the wire shows them."""

import orjson

from doable.reminders.schemas import ReminderResponse
from doable.reminders.statements import Plan, ReminderRow


def reminder(row: ReminderRow | Plan) -> ReminderResponse:
    return ReminderResponse(
        id=row.id,
        todo_id=row.todo_id,
        at=row.at,
        offset_minutes=row.offset_minutes,
        channels=orjson.loads(row.channels),
        fires_at=row.fires_at,
        fired_at=row.fired_at if isinstance(row, ReminderRow) else None,
    )
