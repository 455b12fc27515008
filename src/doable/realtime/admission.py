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
RETRY_AFTER = (1, 5)
"""Seconds, by chance between these: they should not all come back together again."""


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
    return AppException(Code.UNAVAILABLE, message, headers={"Retry-After": str(retry_after())})


def leaving() -> Closing:
    """For those who are to come back, here or elsewhere, not all at the same moment."""
    return Closing(LEAVING, orjson.dumps({"retry_after": retry_after()}).decode())


def retry_after() -> int:
    return random.randint(*RETRY_AFTER)  # noqa: S311 — no secret
