"""What comes after an occurrence of a recurring todo: dates, worked out from its rule within bounds."""

from collections.abc import Iterator
from datetime import date, datetime, timedelta
from itertools import chain, dropwhile, islice, takewhile
from typing import Literal, NamedTuple

from doable.core import zones
from doable.todos import due as dues
from doable.todos import periods
from doable.todos.due import LAST_DAY, Due
from doable.todos.rrule import Rule

MOST_PERIODS = 5_000
"""Periods that are looked at. A rule without a day in so many of them, which are centuries, is at its end."""


class Recurrence(NamedTuple):
    """`anchor`: the first occurrence, from which COUNT and INTERVAL run. `done`: completed since then."""

    rule: Rule
    basis: Literal["due", "completion"]
    anchor: date
    done: int


def next_due(recurrence: Recurrence, due: Due, today: date) -> Due | None:
    """What comes after `due`, which has been done `today`, without those that were missed; `None` after the last."""
    rule, anchor = recurrence.rule, recurrence.anchor
    if recurrence.basis == "completion":
        if rule.times is not None and recurrence.done + 1 >= rule.times:
            return None
        rule, anchor = rule._replace(times=None), today
    found = following(rule, anchor, max(due.date, today))
    return due._replace(date=found) if found is not None and found <= last_day(rule, due) else None


def following(rule: Rule, anchor: date, after: date) -> date | None:
    """The first occurrence after a day that is not before the anchor. The anchor is one, whatever the rule says."""
    if rule.times is None:
        days: Iterator[int] = _days(rule, anchor, after)
    else:
        days = islice(_days(rule, anchor, anchor), rule.times - 1)
    found = next((day for day in days if day > after.toordinal()), None)
    return None if found is None else date.fromordinal(found)


def last_day(rule: Rule, due: Due) -> date:
    """The last day on which UNTIL allows an occurrence at the time of `due`."""
    until = rule.until
    if until is None:
        return LAST_DAY
    if not isinstance(until, datetime):
        return until
    if due.time is None or until.date() > LAST_DAY:
        return until.date()
    if until.tzinfo is None or due.timezone is None:
        day, late = until.date(), due.time > until.time()
    else:
        day = until.astimezone(zones.zone(due.timezone)).date()
        late = dues.sort_key(due._replace(date=day)) > until
    return day - timedelta(days=1) if late else day


def _days(rule: Rule, anchor: date, after: date) -> Iterator[int]:
    days = chain.from_iterable(islice(periods.periods(rule, anchor, after.toordinal()), MOST_PERIODS))
    return takewhile(lambda day: day <= periods.LAST, dropwhile(lambda day: day <= after.toordinal(), days))
