"""Rules of recurrence: what is understood, what comes next, and that nothing costs much. The reference is dateutil."""

import time
from datetime import date, datetime
from datetime import time as clock_time
from itertools import islice, takewhile

import pytest
from dateutil.rrule import rrulestr
from hypothesis import given, settings
from hypothesis import strategies as some

from doable.todos import recurrence, rrule
from doable.todos.due import LAST_DAY, Due
from doable.todos.recurrence import Recurrence

SECONDS = 0.02
COUNTED = 1_000_000
"""What a machine counts to in 20 ms or less, or it is a slow one, and may take as much longer for a rule."""
NINE = clock_time(9)


def _ordinals(freq: str, *, in_month: bool) -> some.SearchStrategy[str]:
    if freq in {"DAILY", "WEEKLY"}:
        return some.just("")
    most = 5 if in_month else 53
    return some.integers(-most, most).map(lambda ordinal: str(ordinal or 1))


def _numbers(least: int, most: int, *, size: int = 3) -> some.SearchStrategy[str]:
    numbers = some.integers(least, most).filter(bool)
    return some.lists(numbers, min_size=1, max_size=size).map(lambda chosen: ",".join(map(str, chosen)))


@some.composite
def rules(draw: some.DrawFn) -> str:
    """Every combination that is understood, without those that dateutil reads otherwise than RFC 5545."""
    freq = draw(some.sampled_from(rrule.FREQUENCIES))
    parts = {"FREQ": freq, "INTERVAL": str(draw(some.sampled_from([1, 1, 2, 3, 4, 5, 7, 11, 12, 30, 100])))}
    if draw(some.booleans()):
        parts["BYMONTH"] = draw(_numbers(1, 12))
    if freq != "WEEKLY" and draw(some.booleans()):
        parts["BYMONTHDAY"] = draw(_numbers(-31, 31))
    if draw(some.booleans()):
        # A weekday with a number and one without it in the same rule: dateutil wants both to be true of a day.
        numbered = draw(some.booleans())
        in_month = freq == "MONTHLY" or "BYMONTH" in parts
        weekdays = draw(some.lists(some.sampled_from(rrule.WEEKDAYS), min_size=1, max_size=4))
        ordinal = _ordinals(freq, in_month=in_month) if numbered else some.just("")
        parts["BYDAY"] = ",".join(draw(ordinal) + weekday for weekday in weekdays)
    # The first week of a rule begins for dateutil at its first day and not with the week: it counts other places.
    if freq in {"MONTHLY", "YEARLY"} and len(parts) > 2 and draw(some.booleans()):
        parts["BYSETPOS"] = draw(_numbers(-6, 6, size=2))
    if draw(some.booleans()):
        parts["WKST"] = draw(some.sampled_from(rrule.WEEKDAYS))
    return ";".join(f"{name}={value}" for name, value in parts.items())


@settings(deadline=None, max_examples=200)  # the reference walks from day to day
@given(rules(), some.dates(date(1970, 1, 1), date(2100, 12, 31)), some.none() | some.integers(1, 20))
def test_what_comes_next_is_what_the_reference_says(rule: str, anchor: date, times: int | None) -> None:
    start = datetime(anchor.year, anchor.month, anchor.day)  # noqa: DTZ001
    until = start.replace(year=anchor.year + 30, day=1)
    reference = rrulestr(f"{rule};UNTIL={until:%Y%m%d}", dtstart=start)
    expected = [anchor, *(day.date() for day in islice(reference.xafter(start), (times or 20) - 1))]
    counted = rrule.parse(rule if times is None else f"{rule};COUNT={times}")
    found = [anchor]
    while len(found) < 20 and (day_after := recurrence.following(counted, anchor, found[-1])) is not None:
        found.append(day_after)
    assert list(takewhile(lambda day: day <= until.date(), found)) == expected


@settings(deadline=None)
@given(rules(), some.dates(date(1970, 1, 1), LAST_DAY), some.dates(date(1970, 1, 1), LAST_DAY))
def test_whatever_the_dates_it_is_later_or_the_end(rule: str, anchor: date, after: date) -> None:
    anchor, after = sorted((anchor, after))
    found = recurrence.following(rrule.parse(rule), anchor, after)
    assert found is None or after < found <= LAST_DAY


@settings(deadline=None)
@given(rules())
def test_a_rule_that_is_written_is_the_same_rule(rule: str) -> None:
    parsed = rrule.parse(rule)
    written = rrule.written(parsed)
    assert rrule.parse(written) == parsed
    assert rrule.written(rrule.parse(written.lower())) == written


@pytest.mark.parametrize(
    ("rule", "written"),
    [
        ("freq=weekly;byday=we,mo,we", "FREQ=WEEKLY;BYDAY=MO,WE"),
        ("BYDAY=+2SU,-1FR;FREQ=MONTHLY;INTERVAL=01", "FREQ=MONTHLY;BYDAY=-1FR,2SU"),
        ("FREQ=DAILY;UNTIL=20261231", "FREQ=DAILY;UNTIL=20261231"),
        ("FREQ=DAILY;UNTIL=20261231T120000", "FREQ=DAILY;UNTIL=20261231T120000"),
        ("FREQ=DAILY;UNTIL=20261231t120000z;WKST=MO", "FREQ=DAILY;UNTIL=20261231T120000Z"),
        ("FREQ=YEARLY;BYMONTH=12,1;BYMONTHDAY=-1;COUNT=3", "FREQ=YEARLY;COUNT=3;BYMONTH=1,12;BYMONTHDAY=-1"),
        ("FREQ=WEEKLY;WKST=SU;INTERVAL=2", "FREQ=WEEKLY;INTERVAL=2;WKST=SU"),
    ],
)
def test_there_is_one_text_for_a_rule(rule: str, written: str) -> None:
    assert rrule.written(rrule.parse(rule)) == written


@pytest.mark.parametrize(
    ("rule", "says"),
    [
        ("", "A rule has parts"), ("daily", "A rule has parts"), ("FREQ=DAILY;", "A rule has parts"),
        ("RRULE:FREQ=DAILY", "A rule has parts"), ("FREQ=DAILY;BYHOUR=9", "A rule has parts"),
        ("FREQ=DAILY; COUNT=3", "A rule has parts"), ("FREQ=YEARLY;BYWEEKNO=1", "A rule has parts"),
        ("FREQ=DAILY\n", "FREQ has"), ("FREQ=HOURLY", "FREQ has"), ("INTERVAL=2", "FREQ has"), ("FREQ=", "FREQ has"),
        ("FREQ=DAILY;FREQ=DAILY", "FREQ is there twice"), ("FREQ=DAILY;INTERVAL=0", "INTERVAL"),
        ("FREQ=DAILY;INTERVAL=-1", "INTERVAL"), ("FREQ=DAILY;INTERVAL=10000", "INTERVAL"),
        ("FREQ=DAILY;INTERVAL=" + "9" * 400, "INTERVAL"), ("FREQ=DAILY;INTERVAL=\u0661", "INTERVAL"),
        ("FREQ=DAILY;COUNT=0", "COUNT"), ("FREQ=DAILY;COUNT=3661", "COUNT"), ("FREQ=DAILY;COUNT=", "COUNT"),
        ("FREQ=DAILY;COUNT=3;UNTIL=20261231", "exclude"), ("FREQ=DAILY;UNTIL=20260230", "UNTIL"),
        ("FREQ=DAILY;UNTIL=2026-12-31", "UNTIL"), ("FREQ=DAILY;UNTIL=20261231T250000", "UNTIL"),
        ("FREQ=DAILY;UNTIL=19691231", "UNTIL"), ("FREQ=DAILY;UNTIL=20261231T12", "UNTIL"),
        ("FREQ=YEARLY;BYMONTH=13", "BYMONTH"), ("FREQ=YEARLY;BYMONTH=-1", "BYMONTH"),
        ("FREQ=YEARLY;BYMONTH=", "BYMONTH"), ("FREQ=MONTHLY;BYMONTHDAY=0", "BYMONTHDAY"),
        ("FREQ=MONTHLY;BYMONTHDAY=32", "BYMONTHDAY"), ("FREQ=WEEKLY;BYMONTHDAY=1", "weekly"),
        ("FREQ=WEEKLY;BYDAY=1MO", "A number in BYDAY"), ("FREQ=DAILY;BYDAY=-1MO", "A number in BYDAY"),
        ("FREQ=MONTHLY;BYDAY=6MO", "5 times"), ("FREQ=YEARLY;BYMONTH=1;BYDAY=6MO", "5 times"),
        ("FREQ=YEARLY;BYDAY=54MO", "BYDAY"), ("FREQ=YEARLY;BYDAY=0MO", "BYDAY"), ("FREQ=WEEKLY;BYDAY=XX", "BYDAY"),
        ("FREQ=WEEKLY;BYDAY=", "BYDAY"), ("FREQ=WEEKLY;BYDAY=MO,", "BYDAY"), ("FREQ=MONTHLY;BYSETPOS=1", "BYSETPOS"),
        ("FREQ=DAILY;BYDAY=MO;BYSETPOS=1", "BYSETPOS"), ("FREQ=MONTHLY;BYDAY=MO;BYSETPOS=367", "BYSETPOS"),
        ("FREQ=WEEKLY;WKST=1", "WKST"), ("FREQ=WEEKLY;" + "X" * 500, "at most 500"),
    ],
)  # fmt: skip
def test_what_is_not_understood_is_refused_with_a_reason(rule: str, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        rrule.parse(rule)


@pytest.mark.parametrize(
    ("rule", "anchor", "expected"),
    [
        # Both kinds of weekdays in one rule: each day that is one or the other.
        ("FREQ=MONTHLY;BYDAY=1MO,FR", "2026-11-02", ["2026-11-06", "2026-11-13", "2026-11-20", "2026-11-27"]),
        # The last working day of a week, also of the week in which it begins.
        ("FREQ=WEEKLY;BYDAY=MO,TU,WE,TH,FR;BYSETPOS=-1", "2026-11-25", ["2026-11-27", "2026-12-04"]),
        ("FREQ=WEEKLY;BYDAY=MO,TU;BYSETPOS=2", "2026-11-25", ["2026-12-01", "2026-12-08"]),
        ("FREQ=WEEKLY;BYMONTH=1;BYDAY=MO,WE,SU;BYSETPOS=-1", "2026-12-28", ["2027-01-03", "2027-01-10"]),
        # The first one is where a person has put it, though the rule would not.
        ("FREQ=WEEKLY;BYDAY=MO;COUNT=2", "2026-11-25", ["2026-11-30"]),
        ("FREQ=MONTHLY", "2026-01-31", ["2026-03-31", "2026-05-31", "2026-07-31"]),
        ("FREQ=YEARLY", "2096-02-29", ["2104-02-29", "2108-02-29"]),
        ("FREQ=YEARLY;INTERVAL=1000", "2026-11-22", ["3026-11-22", "4026-11-22"]),
        ("FREQ=MONTHLY;INTERVAL=9999", "2026-11-22", ["2860-02-22"]),
    ],
)
def test_what_the_reference_cannot_tell(rule: str, anchor: str, expected: list[str]) -> None:
    first = date.fromisoformat(anchor)
    found, parsed = [first], rrule.parse(rule)
    while len(found) <= len(expected) and (after := recurrence.following(parsed, first, found[-1])) is not None:
        found.append(after)
    assert [day.isoformat() for day in found[1 : len(expected) + 1]] == expected
    if parsed.times is not None:
        assert len(found) == parsed.times


@pytest.mark.parametrize(
    "rule",
    [
        "FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30", "FREQ=MONTHLY;BYMONTH=2;BYMONTHDAY=30",
        "FREQ=DAILY;BYMONTH=2;BYMONTHDAY=30",
        "FREQ=DAILY;INTERVAL=7;BYDAY=TU,SA", "FREQ=DAILY;INTERVAL=100;COUNT=3660;BYMONTH=3,5;BYMONTHDAY=-1;BYDAY=SA",
        "FREQ=DAILY;INTERVAL=9999", "FREQ=DAILY;COUNT=3660", "FREQ=DAILY;COUNT=3660;BYMONTHDAY=-31",
        "FREQ=WEEKLY;BYDAY=MO,TU;BYSETPOS=7", "FREQ=WEEKLY;INTERVAL=4;BYMONTH=3,7,11;BYDAY=MO,TU,WE;BYSETPOS=3",
        "FREQ=WEEKLY;COUNT=3660;BYMONTH=2", "FREQ=WEEKLY;INTERVAL=9999;COUNT=3660",
        "FREQ=MONTHLY;BYMONTHDAY=1;BYDAY=5MO", "FREQ=MONTHLY;INTERVAL=11;BYMONTHDAY=31;BYDAY=MO;COUNT=3660",
        "FREQ=MONTHLY;INTERVAL=12;BYMONTH=2;BYMONTHDAY=31", "FREQ=YEARLY;BYDAY=53SU;BYMONTHDAY=29;COUNT=3660",
        "FREQ=YEARLY;COUNT=3660;BYMONTHDAY=" + ",".join(map(str, range(-31, 0))) + ";BYSETPOS=366",
    ],
)  # fmt: skip
@pytest.mark.parametrize("after", [date(2026, 11, 25), date(2900, 1, 1), LAST_DAY], ids=str)
def test_no_rule_costs_more_than_20_milliseconds(rule: str, after: date) -> None:
    anchor = date(2026, 11, 25)
    weekly = Recurrence(rrule.parse(rule), "due", anchor, 0)
    costs, counts = [], []
    for _ in range(5):
        start = time.process_time()
        found = recurrence.next_due(weekly, Due(anchor), after)
        costs.append(time.process_time() - start)
        assert found is None or found.date > after
        if costs[-1] < SECONDS:
            return
        start = time.process_time()
        for _ in range(COUNTED):
            pass
        counts.append(time.process_time() - start)
    assert min(costs) < max(SECONDS, min(counts))


@pytest.mark.parametrize(
    ("rule", "due", "last"),
    [
        ("UNTIL=20261130", Due(date(2026, 11, 1)), "2026-11-30"),
        ("UNTIL=20261130T000000Z", Due(date(2026, 11, 1)), "2026-11-30"),
        ("UNTIL=20261130T090000", Due(date(2026, 11, 1), NINE), "2026-11-30"),
        ("UNTIL=20261130T085959", Due(date(2026, 11, 1), NINE), "2026-11-29"),
        ("UNTIL=20261130T080000Z", Due(date(2026, 11, 1), NINE, "Europe/Zagreb"), "2026-11-30"),
        ("UNTIL=20261130T075959Z", Due(date(2026, 11, 1), NINE, "Europe/Zagreb"), "2026-11-29"),
        ("UNTIL=20261130T235959Z", Due(date(2026, 11, 1), NINE, "Asia/Tokyo"), "2026-11-30"),
        ("UNTIL=99991231T235959Z", Due(date(2026, 11, 1), NINE, "Asia/Tokyo"), "9999-12-31"),
        ("COUNT=2", Due(date(2026, 11, 1)), "9999-12-30"),
    ],
)
def test_until_is_the_last_moment_in_the_zone_of_the_due(rule: str, due: Due, last: str) -> None:
    assert recurrence.last_day(rrule.parse(f"FREQ=DAILY;{rule}"), due).isoformat() == last
