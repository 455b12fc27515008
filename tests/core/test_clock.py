"""The wall clock, and how an instant is written."""

from datetime import UTC, datetime, timedelta

import time_machine

from doable.core import clock


def test_the_time_is_cut_to_milliseconds_and_goes_on() -> None:
    times = [datetime.now(UTC)]
    for _ in range(1_000):
        times += clock.now(), datetime.now(UTC)

    told = times[1::2]
    assert all(instant.microsecond % 1000 == 0 and instant.tzinfo is UTC for instant in told)
    assert told == sorted(told)
    for before, instant, after in zip(times[::2], told, times[2::2], strict=False):
        assert before - timedelta(milliseconds=1) < instant <= after


def test_no_millisecond_becomes_another_one() -> None:
    start = datetime(1970, 1, 1, tzinfo=UTC)
    for milliseconds in range(0, 4_000_000_000_000, 399_999_937):  # into the year 2096
        instant = start + timedelta(milliseconds=milliseconds)
        with time_machine.travel(instant, tick=False):
            assert clock.now() == instant
