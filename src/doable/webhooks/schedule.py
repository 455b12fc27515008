"""When a delivery that has failed is tried again."""

import random
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

PAUSES = (
    timedelta(seconds=5),
    timedelta(minutes=5),
    timedelta(minutes=30),
    timedelta(hours=2),
    timedelta(hours=5),
    timedelta(hours=10),
    timedelta(hours=14),
    timedelta(hours=20),
    timedelta(hours=20),
)
"""Three days in all; each is up to a tenth longer, so that what failed together does not come back together."""
PATIENCE = timedelta(days=3)
"""A webhook to which nothing could be delivered for so long is paused."""
LONGEST_WISH = timedelta(days=1)


def pause(attempts: int) -> timedelta | None:
    """After so many attempts; `None`: that was the last."""
    if attempts > len(PAUSES):
        return None
    return PAUSES[attempts - 1] * random.uniform(1, 1.1)  # noqa: S311 — nobody gains by guessing it


def wish(retry_after: str | None, now: datetime) -> timedelta:
    """How long the receiver asks to be left alone: seconds or a date; nothing, where it makes no sense."""
    if retry_after is None:
        return timedelta()
    if retry_after.isascii() and retry_after.isdigit():
        return min(timedelta(seconds=int(retry_after[:9])), LONGEST_WISH)
    try:
        until = parsedate_to_datetime(retry_after)
    except (ValueError, OverflowError):
        return timedelta()
    return max(timedelta(), min(until.replace(tzinfo=until.tzinfo or UTC) - now, LONGEST_WISH))
