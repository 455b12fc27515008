"""When the next digest is due."""

from datetime import UTC, datetime, time, timedelta

from doable.core import zones


def after(now: datetime, at: time, timezone: str) -> datetime:
    """The first instant after `now` at which it is `at` there; a time that the clocks leave out is that much later."""
    zone = zones.zone(timezone)
    today = now.astimezone(zone).date()
    days = (today + timedelta(days=n) for n in (0, 1))
    instants = (datetime.combine(day, at, zone).astimezone(UTC) for day in days)
    return next(instant for instant in instants if instant > now)
