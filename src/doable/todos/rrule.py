"""The rules of recurrence that are understood, a part of RFC 5545's RRULE: read from text and written as text."""

import re
from collections.abc import Callable
from datetime import date, datetime
from typing import NamedTuple

from doable.core.types import FIRST_YEAR

FREQUENCIES = ("DAILY", "WEEKLY", "MONTHLY", "YEARLY")
WEEKDAYS = ("MO", "TU", "WE", "TH", "FR", "SA", "SU")
MOST_PERIODS = 9999
"""What INTERVAL may be."""
MOST_TIMES = 3660
"""What COUNT may be: ten years of days."""
LONGEST = 500
"""Characters of a rule."""

_NUMBER = re.compile(r"[+-]?[0-9]{1,4}")
_BY_DAY = re.compile(r"([+-]?[0-9]{1,2})?(MO|TU|WE|TH|FR|SA|SU)")
_UNTIL = re.compile(r"[0-9]{8}(T[0-9]{6}Z?)?")
_PARTS = ("FREQ", "INTERVAL", "COUNT", "UNTIL", "BYMONTH", "BYMONTHDAY", "BYDAY", "BYSETPOS", "WKST")


class Rule(NamedTuple):
    """Lists are in order and without repetitions; weekdays count from Monday, 0.

    `by_day` has pairs of an ordinal (0: each) and a weekday; `until` is a date, a local time or an instant.
    """

    freq: str
    interval: int = 1
    times: int | None = None
    until: date | None = None
    by_month: tuple[int, ...] = ()
    by_month_day: tuple[int, ...] = ()
    by_day: tuple[tuple[int, int], ...] = ()
    by_set_pos: tuple[int, ...] = ()
    week_start: int = 0


def parse(text: str) -> Rule:
    """Raises `ValueError`, whose message tells a person what is wrong."""
    if len(text) > LONGEST:
        raise ValueError(f"A rule has at most {LONGEST} characters.")
    parts = _parts(text.upper())
    if (freq := parts.get("FREQ")) not in FREQUENCIES:
        raise ValueError(f"FREQ has to be one of {', '.join(FREQUENCIES)}.")
    rule = Rule(
        freq=freq,
        interval=_number("INTERVAL", parts.get("INTERVAL", "1"), 1, MOST_PERIODS),
        times=_number("COUNT", parts["COUNT"], 1, MOST_TIMES) if "COUNT" in parts else None,
        until=_until(parts["UNTIL"]) if "UNTIL" in parts else None,
        by_month=_list(parts, "BYMONTH", lambda value: _number("BYMONTH", value, 1, 12)),
        by_month_day=_list(parts, "BYMONTHDAY", lambda value: _signed("BYMONTHDAY", value, 31)),
        by_day=_list(parts, "BYDAY", _weekday),
        by_set_pos=_list(parts, "BYSETPOS", lambda value: _signed("BYSETPOS", value, 366)),
        week_start=_week_start(parts.get("WKST", "MO")),
    )
    _refuse_combinations(rule)
    return rule


def written(rule: Rule) -> str:
    """The one text of a rule: what is the default is left out."""
    parts = {
        "FREQ": rule.freq,
        "INTERVAL": "" if rule.interval == 1 else str(rule.interval),
        "COUNT": "" if rule.times is None else str(rule.times),
        "UNTIL": "" if rule.until is None else _written_until(rule.until),
        "BYMONTH": ",".join(map(str, rule.by_month)),
        "BYMONTHDAY": ",".join(map(str, rule.by_month_day)),
        "BYDAY": ",".join(f"{ordinal or ''}{WEEKDAYS[weekday]}" for ordinal, weekday in rule.by_day),
        "BYSETPOS": ",".join(map(str, rule.by_set_pos)),
        "WKST": WEEKDAYS[rule.week_start] if rule.week_start else "",
    }
    return ";".join(f"{name}={value}" for name, value in parts.items() if value)


def _parts(text: str) -> dict[str, str]:
    parts: dict[str, str] = {}
    for part in text.split(";"):
        name, equals, value = part.partition("=")
        if name not in _PARTS or not equals:
            raise ValueError(f"A rule has parts such as FREQ=WEEKLY, separated by semicolons, of {', '.join(_PARTS)}.")
        if name in parts:
            raise ValueError(f"{name} is there twice.")
        parts[name] = value
    return parts


def _list[T: (int, tuple[int, int])](parts: dict[str, str], name: str, read: Callable[[str], T]) -> tuple[T, ...]:
    return tuple(sorted({read(value) for value in parts[name].split(",")})) if name in parts else ()


def _number(name: str, text: str, least: int, most: int) -> int:
    if not _NUMBER.fullmatch(text) or not least <= int(text) <= most:
        raise ValueError(f"{name} has to be a number from {least} to {most}.")
    return int(text)


def _signed(name: str, text: str, most: int) -> int:
    if not _NUMBER.fullmatch(text) or not 1 <= abs(int(text)) <= most:
        raise ValueError(f"{name} has to be made of numbers from 1 to {most}, or from -{most} to -1.")
    return int(text)


def _weekday(text: str) -> tuple[int, int]:
    match = _BY_DAY.fullmatch(text)
    if match is None:
        raise ValueError(f"BYDAY has to be made of {', '.join(WEEKDAYS)}, or of those with a number, such as -1FR.")
    ordinal, weekday = match.groups()
    return 0 if ordinal is None else _signed("A number in BYDAY", ordinal, 53), WEEKDAYS.index(weekday)


def _week_start(text: str) -> int:
    if text not in WEEKDAYS:
        raise ValueError(f"WKST has to be one of {', '.join(WEEKDAYS)}.")
    return WEEKDAYS.index(text)


def _until(text: str) -> date:
    if _UNTIL.fullmatch(text):
        try:
            until = datetime.fromisoformat(text)
        except ValueError:
            pass
        else:
            if until.year >= FIRST_YEAR:
                return until if "T" in text else until.date()
    raise ValueError("UNTIL has to be a date (20261231), a local time (20261231T180000), or one in UTC with a Z.")


def _written_until(until: date) -> str:
    if not isinstance(until, datetime):
        return f"{until.year:04}{until:%m%d}"
    return f"{until.year:04}{until:%m%dT%H%M%S}{'Z' if until.tzinfo else ''}"


def _refuse_combinations(rule: Rule) -> None:
    """What RFC 5545 forbids, or what could never have a meaning."""
    if rule.times is not None and rule.until is not None:
        raise ValueError("COUNT and UNTIL exclude each other.")
    if rule.freq == "WEEKLY" and rule.by_month_day:
        raise ValueError("BYMONTHDAY has no meaning in a weekly rule.")
    if rule.by_set_pos and (rule.freq == "DAILY" or not (rule.by_day or rule.by_month_day or rule.by_month)):
        raise ValueError("BYSETPOS needs BYDAY, BYMONTHDAY or BYMONTH in a weekly, monthly or yearly rule.")
    longest = max((abs(ordinal) for ordinal, _ in rule.by_day), default=0)
    if longest and rule.freq in {"DAILY", "WEEKLY"}:
        raise ValueError("A number in BYDAY needs a monthly or yearly rule.")
    if longest > 5 and (rule.freq == "MONTHLY" or rule.by_month):  # noqa: PLR2004 — weeks that a month touches
        raise ValueError("A month has no weekday more often than 5 times.")
