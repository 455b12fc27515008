"""The days that a rule chooses in each of its periods, as ordinals. Jumps over years, never walks from day to day."""

from calendar import isleap
from collections.abc import Callable, Iterator, Sequence
from datetime import date
from functools import cache
from itertools import count
from math import gcd

from doable.todos.due import LAST_DAY
from doable.todos.rrule import Rule

LAST = LAST_DAY.toordinal()

_LENGTHS = {leap: (31, 29 if leap else 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31) for leap in (False, True)}


def periods(rule: Rule, anchor: date, start: int) -> Iterator[Sequence[int]]:
    """The days of one period after the other, from the one that `start` is in or the next.

    The first may begin before `start`, the last end after `LAST`. INTERVAL and what the rule does not say come from
    the anchor, which is not after `start`.
    """
    every = {"DAILY": _days, "WEEKLY": _weeks, "MONTHLY": _months, "YEARLY": _years}[rule.freq]
    return every(_completed(rule, anchor), anchor, start)


def _completed(rule: Rule, anchor: date) -> Rule:
    if rule.by_day or rule.by_month_day or rule.freq == "DAILY":
        return rule
    if rule.freq == "WEEKLY":
        return rule._replace(by_day=((0, anchor.weekday()),))
    months = (anchor.month,) if rule.freq == "YEARLY" else ()
    return rule._replace(by_month_day=(anchor.day,), by_month=rule.by_month or months)


def _days(rule: Rule, anchor: date, start: int) -> Iterator[Sequence[int]]:
    """The days of a month at a time: one by one, a rule that never comes true would cost seconds."""
    in_month = _in_month(rule)
    first_day, step = anchor.toordinal(), rule.interval
    day = _aligned(start, first_day, step)
    while day <= LAST:
        on = date.fromordinal(day)
        if not rule.by_month or on.month in rule.by_month:
            first, length = day - on.day + 1, _length(on)
            chosen = (first + offset for offset in in_month(length, _weekday(first)))
            yield [each for each in chosen if each >= day and (each - day) % step == 0]
        else:
            yield ()
        day = _aligned(_next_month(rule, on), first_day, step)


def _weeks(rule: Rule, anchor: date, start: int) -> Iterator[Sequence[int]]:
    offsets = sorted((weekday - rule.week_start) % 7 for _, weekday in rule.by_day)
    first_week, step = _week(rule, anchor.toordinal()), 7 * rule.interval
    if rule.by_set_pos and min(map(abs, rule.by_set_pos)) > len(offsets):
        return
    week = _aligned(_week(rule, start), first_week, step)
    while week <= LAST:
        days: Sequence[int] = [week + offset for offset in offsets if week + offset <= LAST]
        later = week + step
        if rule.by_month:
            on = date.fromordinal(week)
            days = _allowed(rule, on, days)
            if not days:
                later = max(later, _week(rule, _next_month(rule, on)))
        yield _positioned(rule, days)
        week = _aligned(later, first_week, step)


def _allowed(rule: Rule, week: date, days: Sequence[int]) -> Sequence[int]:
    """Of the days of a week those in the months that the rule allows; it begins in one and may end in the next."""
    next_month = week.toordinal() + _length(week) - week.day + 1
    months = (week.month in rule.by_month, week.month % 12 + 1 in rule.by_month)
    return [day for day in days if months[day >= next_month]]


def _months(rule: Rule, anchor: date, start: int) -> Iterator[Sequence[int]]:
    in_month = _in_month(rule)
    begin, step = date.fromordinal(start), rule.interval
    month = _aligned(12 * begin.year + begin.month - 1, 12 * anchor.year + anchor.month - 1, step)
    # After these the same months of the year come again.
    coming = [month + n * step for n in range(12 // gcd(12, step))]
    coming = [each for each in coming if not rule.by_month or each % 12 + 1 in rule.by_month]
    for cycle in count(0, len(coming) and 12 * step // gcd(12, step)):
        for each in coming:
            year, index = divmod(each + cycle, 12)
            if year > LAST_DAY.year:
                return
            first = date(year, index + 1, 1)
            beginning = first.toordinal()
            yield [beginning + offset for offset in in_month(_length(first), _weekday(beginning))]
        if not coming:
            return


def _years(rule: Rule, anchor: date, start: int) -> Iterator[Sequence[int]]:
    @cache
    def in_year(leap: bool, weekday: int) -> Sequence[int]:  # noqa: FBT001 — the two things that make a year
        return _positioned(rule, _chosen_in_year(rule, _LENGTHS[leap], weekday))

    first_year = _aligned(date.fromordinal(start).year, anchor.year, rule.interval)
    for year in range(first_year, LAST_DAY.year + 1, rule.interval):
        beginning = date(year, 1, 1).toordinal()
        yield [beginning + offset for offset in in_year(isleap(year), _weekday(beginning))]


def _in_month(rule: Rule) -> Callable[[int, int], Sequence[int]]:
    """Months of one length that begin on one weekday are alike."""

    @cache
    def in_month(length: int, weekday: int) -> Sequence[int]:
        return _positioned(rule, _chosen_in_month(rule, length, weekday))

    return in_month


def _chosen_in_year(rule: Rule, lengths: Sequence[int], weekday: int) -> Sequence[int]:
    """Without BYMONTH the ordinals of BYDAY count in the year."""
    of_month = rule if rule.by_month else rule._replace(by_day=())
    chosen: list[int] = []
    begin = 0
    for month, length in enumerate(lengths, 1):
        if not rule.by_month or month in rule.by_month:
            chosen += [begin + offset for offset in _chosen_in_month(of_month, length, (weekday + begin) % 7)]
        begin += length
    return chosen if rule.by_month else [offset for offset in chosen if _is_by_day(rule, offset, begin, weekday)]


def _chosen_in_month(rule: Rule, length: int, weekday: int) -> Sequence[int]:
    return [
        offset
        for offset in range(length)
        if _is_by_month_day(rule, offset, length) and _is_by_day(rule, offset, length, weekday)
    ]


def _is_by_month_day(rule: Rule, offset: int, length: int) -> bool:
    return not rule.by_month_day or offset + 1 in rule.by_month_day or offset - length in rule.by_month_day


def _is_by_day(rule: Rule, offset: int, length: int, weekday: int) -> bool:
    """Whether BYDAY means the day at `offset` of a span that begins on `weekday`."""
    if not rule.by_day:
        return True
    ordinals = (0, offset // 7 + 1, (offset - length) // 7)
    day = (weekday + offset) % 7
    return any(wanted == day and ordinal in ordinals for ordinal, wanted in rule.by_day)


def _positioned(rule: Rule, days: Sequence[int]) -> Sequence[int]:
    if not rule.by_set_pos:
        return days
    size = len(days)
    places = {place - 1 if place > 0 else size + place for place in rule.by_set_pos}
    return [days[place] for place in sorted(places) if 0 <= place < size]


def _next_month(rule: Rule, on: date) -> int:
    """The first day of the next month that the rule allows."""
    if not rule.by_month:
        return on.toordinal() - on.day + 1 + _length(on)
    later = next((month for month in rule.by_month if month > on.month), None)
    if later is None and on.year == LAST_DAY.year:
        return LAST + 1
    return date(on.year + (later is None), later or rule.by_month[0], 1).toordinal()


def _aligned(value: int, base: int, step: int) -> int:
    """The first of `base`, `base + step`, … that is not before `value`."""
    return value + (base - value) % step


def _week(rule: Rule, day: int) -> int:
    return day - (_weekday(day) - rule.week_start) % 7


def _weekday(day: int) -> int:
    return (day - 1) % 7


def _length(on: date) -> int:
    return _LENGTHS[isleap(on.year)][on.month - 1]
