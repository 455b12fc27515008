"""When a todo is due: a date, a local time (floating), or a local time in a zone, which alone is an instant."""

import datetime as dt
from datetime import UTC
from typing import NamedTuple

from doable.core import zones

LAST_DAY = dt.date(9999, 12, 30)
"""The last day that has ended everywhere before the calendar of Python ends."""
LAST_MOMENT = dt.datetime(9999, 12, 30, tzinfo=UTC)
END_OF_DAY = dt.time(23, 59, 59)


class Due(NamedTuple):
    """`time` absent: a date; `timezone` absent: floating. There is no time zone without a time."""

    date: dt.date
    time: dt.time | None = None
    timezone: str | None = None


def instant(due: Due) -> dt.datetime | None:
    """When a zoned due is: what a gap of the clocks has left out comes that much later, of what comes twice the first.

    That is what `fold=0` says: the offset from before the clocks were changed.
    """
    if due.time is None or due.timezone is None:
        return None
    return dt.datetime.combine(due.date, due.time, zones.zone(due.timezone)).astimezone(UTC)


def written(due: Due) -> str:
    """As people read it."""
    parts = [f"{due.date}", "" if due.time is None else f"{due.time:%H:%M}", due.timezone or ""]
    return " ".join(filter(None, parts))


def sort_key(due: Due) -> dt.datetime:
    """The instant; of the others what is written, read as UTC, and a date comes last on its day."""
    return instant(due) or dt.datetime.combine(due.date, due.time or END_OF_DAY, UTC)


def day_of(moment: dt.datetime, due: Due, home: str) -> dt.date:
    """The day that an instant has in the zone of the due; where it has none, in `home`."""
    return min(moment, LAST_MOMENT).astimezone(zones.zone(due.timezone or home)).date()
