"""When a digest is due, and what is due by then: each day has one."""

from datetime import UTC, date, datetime, time, timedelta

from doable.core import zones
from doable.todos import due as dues
from doable.todos.due import Due


def on(day: date, at: time, timezone: str) -> datetime:
    """The instant at which it is `at` there; a time that the clocks leave out is that much later."""
    return datetime.combine(day, at, zones.zone(timezone)).astimezone(UTC)


def day_of(moment: datetime, timezone: str) -> date:
    return moment.astimezone(zones.zone(timezone)).date()


def after(now: datetime, at: time, timezone: str) -> datetime:
    """The first such instant after `now`."""
    today = day_of(now, timezone)
    instants = (on(today + timedelta(days=n), at, timezone) for n in (0, 1))
    return next(instant for instant in instants if instant > now)


def latest(now: datetime, at: time, timezone: str) -> datetime:
    """The last one that has come."""
    today = day_of(now, timezone)
    # A time of yesterday that the clocks left out may be one of today, which has not come.
    instants = (on(today - timedelta(days=n), at, timezone) for n in (0, 1, 2))
    return next(instant for instant in instants if instant <= now)


def there(due: Due, timezone: str) -> Due:
    """As it is read there: what is due at an instant, on the day and at the time that this has there."""
    moment = dues.instant(due)
    if moment is None:
        return due
    local = min(moment, dues.LAST_MOMENT).astimezone(zones.zone(timezone))
    return Due(local.date(), local.time(), timezone)
