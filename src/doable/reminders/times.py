"""When a reminder fires."""

from datetime import UTC, datetime, time, timedelta

from doable.core import zones
from doable.todos import due as dues
from doable.todos import schedule
from doable.todos.statements import TodoRow

MORNING = time(9)
"""When one is reminded of a date."""


def fires_at(todo: TodoRow | None, at: datetime | None, offset_minutes: int | None, home: str) -> datetime | None:
    """`home` is the zone of whoever is reminded; nobody is, of what is done, deleted, or not due at any time."""
    if todo is None or todo.completed_at is not None or todo.deleted_at is not None:
        return None
    if at is not None:
        return at
    due = schedule.due_of(todo)
    if due is None or offset_minutes is None or due.date > dues.LAST_DAY:
        return None
    moment = dues.instant(due)
    if moment is None:
        moment = datetime.combine(due.date, due.time or MORNING, zones.zone(home)).astimezone(UTC)
    return min(moment, dues.LAST_MOMENT - timedelta(minutes=offset_minutes)) + timedelta(minutes=offset_minutes)
