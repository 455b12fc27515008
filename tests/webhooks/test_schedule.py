"""When a delivery is tried again, and how a receiver can put that off."""

from datetime import UTC, datetime, timedelta

import pytest

from doable.webhooks import schedule

NOW = datetime(2026, 11, 22, 8, 0, tzinfo=UTC)
NOTHING = timedelta()


@pytest.mark.parametrize(
    ("retry_after", "wish"),
    [
        (None, NOTHING),
        ("120", timedelta(minutes=2)),
        ("0", NOTHING),
        ("99999999999999999999", timedelta(days=1)),
        ("Sun, 22 Nov 2026 09:00:00 GMT", timedelta(hours=1)),
        ("Sun, 22 Nov 2026 10:00:00 +0100", timedelta(hours=1)),
        ("Sun, 22 Nov 2026 09:00:00 -0000", timedelta(hours=1)),
        ("Sat, 21 Nov 2026 09:00:00 GMT", NOTHING),
        ("Mon, 22 Nov 2027 09:00:00 GMT", timedelta(days=1)),
        ("-5", NOTHING),
        ("\u0663", NOTHING),
        ("soon", NOTHING),
        ("", NOTHING),
        ("Sun, 99 Nov 2026 99:00:00 GMT", NOTHING),
        ("Sun, 22 Nov 99999999999999999999 09:00:00 GMT", NOTHING),
    ],
)
def test_a_receiver_is_left_alone_for_as_long_as_it_asks_within_a_day(retry_after: str | None, wish: timedelta) -> None:
    assert schedule.wish(retry_after, NOW) == wish


def test_pauses_are_those_of_the_schedule_and_a_tenth_at_most() -> None:
    for attempts, pause in enumerate(schedule.PAUSES, start=1):
        chosen = schedule.pause(attempts)
        assert chosen is not None
        assert pause <= chosen <= pause * 1.1
    assert schedule.pause(len(schedule.PAUSES) + 1) is None
