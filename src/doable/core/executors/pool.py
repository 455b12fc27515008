"""A small pool: last in, first out; nothing is sent when a connection comes back; every wait is bounded."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from typing import Any

from doable.core import clock
from doable.core.executors.executor import PoolStatus
from doable.core.faults import Unavailable, Unreachable

TRUSTED = 1.0
"""Seconds that a connection may lie idle and still be taken for alive."""
LINGER = 10.0
"""Seconds that one of the overflow is kept when nobody wants it: to open one costs more than many statements."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Upkeep[C]:
    """How connections are opened, closed and looked after; `answers` asks one that has been idle."""

    open: Callable[[], Awaitable[C]]
    close: Callable[[C], Coroutine[Any, Any, None]]
    is_closed: Callable[[C], bool]
    answers: Callable[[C], Awaitable[bool]]
    recycle: float


class Pool[C]:
    """Keeps `size` connections and opens `overflow` more when all are in use; who finds none waits for `wait` s.

    What is idle is taken from the end, where it came back last; so what is at the beginning is not needed any more.
    """

    def __init__(self, upkeep: Upkeep[C], *, size: int, overflow: int, wait: float) -> None:
        self._upkeep = upkeep
        self._size, self._most, self._wait = size, size + overflow, wait
        self._idle: list[tuple[C, float]] = []
        self._born: dict[C, float] = {}
        self._opening = 0
        self._waiting: deque[asyncio.Future[C | None]] = deque()
        self._chores: set[asyncio.Task[Any]] = set()
        self._closed = False

    @property
    def status(self) -> PoolStatus:
        return PoolStatus(self._size, len(self._born) + self._opening - len(self._idle))

    def take_now(self) -> C | None:
        """The common case, without a coroutine."""
        if not self._idle:
            return None
        connection, since = self._idle[-1]
        now = clock.monotonic()
        if now - since > TRUSTED or self._is_spent(connection, now):
            return None
        self._idle.pop()
        return connection

    async def take(self) -> C:
        """A connection, to be given back by `give` or `drop`. Raises `Unavailable`, and what opening one raises."""
        loop = asyncio.get_running_loop()
        until = loop.time() + self._wait
        while (connection := await self._idle_or_new(until)) is None:
            if loop.time() >= until:  # idle connections may be silent one after the other
                raise Unreachable("no connection answered in time")
        return connection

    def give(self, connection: C) -> None:
        now = clock.monotonic()
        # What lies idle is looked at when it is taken.
        if self._closed or (self._waiting and self._is_spent(connection, now)):
            self.drop(connection)
        elif not (self._waiting and self._hand_over(connection)):
            self._idle.append((connection, now))
            if len(self._idle) > self._size and now - self._idle[0][1] > LINGER:
                self.drop(self._idle.pop(0)[0])

    def drop(self, connection: C) -> None:
        del self._born[connection]
        self.do(self._upkeep.close(connection))
        self._hand_over(None)

    def do[T](self, chore: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Beside whoever asks for it; `close` waits for its end."""
        task = asyncio.get_running_loop().create_task(chore)
        self._chores.add(task)
        task.add_done_callback(self._chores.discard)
        return task

    async def close(self) -> None:
        self._closed = True
        while self._idle:
            self.drop(self._idle.pop()[0])
        while self._chores:
            await asyncio.gather(*self._chores, return_exceptions=True)

    async def _idle_or_new(self, until: float) -> C | None:
        if self._closed:
            raise Unavailable("the database is closed")
        if self._idle:
            return await self._checked(self._idle.pop()[0], until)
        if len(self._born) + self._opening < self._most:
            return await self._opened(until)
        return await self._handed_over(until)

    async def _checked(self, connection: C, until: float) -> C | None:
        alive = False
        try:
            if not self._is_spent(connection, clock.monotonic()):
                async with asyncio.timeout_at(until):
                    alive = await self._upkeep.answers(connection)
        except TimeoutError as error:
            raise Unreachable("no connection answered in time") from error
        finally:
            if not alive:
                self.drop(connection)
        return connection if alive else None

    async def _opened(self, until: float) -> C:
        """Drivers lose a connection whose opening is cancelled, so it is opened and given back."""
        self._opening += 1
        opening = self.do(self._open())
        try:
            async with asyncio.timeout_at(until):
                return await asyncio.shield(opening)
        except BaseException as error:
            opening.add_done_callback(self._give_late)
            if isinstance(error, TimeoutError):
                raise Unreachable("no connection could be opened in time") from error
            raise

    async def _open(self) -> C:
        try:
            connection = await self._upkeep.open()
        except BaseException:
            self._hand_over(None)
            raise
        finally:
            self._opening -= 1
        self._born[connection] = clock.monotonic()
        return connection

    def _give_late(self, opening: asyncio.Task[C]) -> None:
        if not opening.cancelled() and opening.exception() is None:
            self.give(opening.result())

    async def _handed_over(self, until: float) -> C | None:
        waiting: asyncio.Future[C | None] = asyncio.get_running_loop().create_future()
        self._waiting.append(waiting)
        try:
            async with asyncio.timeout_at(until):
                return await waiting
        except BaseException as error:
            if waiting.done() and not waiting.cancelled():  # handed over in the moment of the cancellation
                self._give_on(waiting.result())
            if isinstance(error, TimeoutError):
                raise Unavailable("no connection became free in time") from error
            raise

    def _give_on(self, connection: C | None) -> None:
        if connection is None:
            self._hand_over(None)
        else:
            self.give(connection)

    def _hand_over(self, connection: C | None) -> bool:
        """To who has waited longest; `None`: a new one may be opened."""
        while self._waiting:
            waiting = self._waiting.popleft()
            if not waiting.done():
                waiting.set_result(connection)
                return True
        return False

    def _is_spent(self, connection: C, now: float) -> bool:
        return self._upkeep.is_closed(connection) or now - self._born[connection] > self._upkeep.recycle
