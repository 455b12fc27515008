"""The only reader of the clocks, so that a test may hold them still."""

import time
from datetime import UTC, datetime
from functools import lru_cache

import orjson


def now() -> datetime:
    """The wall clock in UTC, cut to the milliseconds that are stored and shown."""
    return _instant(time.time_ns() // 1_000_000)


def monotonic() -> float:
    """Seconds that never go back; for durations and deadlines only."""
    return time.monotonic()


def iso(instant: datetime) -> str:
    """RFC 3339 with exactly three decimals, as on the wire and in SQLite: `2026-11-22T08:41:52.123Z`."""
    # orjson takes a third of the time of `isoformat`; where all decimals are zero it leaves them out.
    written = orjson.dumps(instant if instant.tzinfo is UTC else instant.astimezone(UTC))
    return f"{written[1:24].decode()}Z" if instant.microsecond else f"{written[1:20].decode()}.000Z"


@lru_cache(maxsize=1)  # requests of the same millisecond ask for the same instant
def _instant(milliseconds: int) -> datetime:
    return datetime.fromtimestamp(milliseconds / 1000, UTC)
