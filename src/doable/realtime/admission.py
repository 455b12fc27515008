"""How many connections are let in at once, so that those who all come back together do not push out everybody else."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import orjson

from doable.core.errors import AppException, Code
from doable.realtime.outbox import LEAVING, Closing

AT_ONCE = 16
WAITING = 500
LONGEST = 10.0
"""Seconds until a connection is there, the wait included."""
LONGEST_PAUSE = 5
A_SECOND = 400
"""So many may come back in the same second; a larger crowd is spread over more of them, by chance."""


class Admission:
    def __init__(self) -> None:
        self._gate = asyncio.Semaphore(AT_ONCE)
        self._coming = 0

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Raises `UNAVAILABLE` for whom there is no room in the queue, or for whom it took too long."""
        if self._coming >= WAITING:
            raise overloaded()
        self._coming += 1
        try:
            async with asyncio.timeout(LONGEST), self._gate:
                yield
        except TimeoutError as error:
            raise overloaded() from error
        finally:
            self._coming -= 1


def overloaded() -> AppException:
    message = "Too many connections are being opened. Try again in a moment."
    return AppException(Code.UNAVAILABLE, message, headers={"Retry-After": str(_pause(LONGEST_PAUSE))})


def gone() -> AppException:
    """For whom comes to a process that is leaving; in a moment he meets another one."""
    return AppException(Code.UNAVAILABLE, "This process is leaving.", headers={"Retry-After": "1"})


def leaving(crowd: int) -> Closing:
    """For so many who are to come back, here or elsewhere, not all at the same moment."""
    return Closing(LEAVING, orjson.dumps({"retry_after": _pause(1 + crowd // A_SECOND)}).decode())


def _pause(most: int) -> int:
    """Seconds; nobody's are certain."""
    return random.randint(1, max(2, most))  # noqa: S311 — no secret
