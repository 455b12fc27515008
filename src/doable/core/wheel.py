"""Time limits for everything that a process does at once, looked at together: one timer instead of one for each."""

import asyncio
from types import TracebackType
from typing import Protocol, Self

TICK = 0.1
"""Seconds between two looks: a limit acts by so much later than it is set."""


class Timed(Protocol):
    def is_overdue(self, now: float) -> bool:
        """By the time of the loop."""

    def end(self) -> None:
        """Called once, when it is overdue, and forgotten."""


class Wheel:
    """Ends what is overdue. It turns while there is anything that could be, on the loop that uses it."""

    def __init__(self) -> None:
        self._limits: set[Timed] = set()
        self._loop: asyncio.AbstractEventLoop | None = None

    def add(self, limit: Timed) -> None:
        self._limits.add(limit)
        loop = asyncio.get_running_loop()
        if self._loop is not loop:
            self._loop = loop
            loop.call_later(TICK, self._turn, loop)

    def discard(self, limit: Timed) -> None:
        self._limits.discard(limit)

    def _turn(self, loop: asyncio.AbstractEventLoop) -> None:
        now = loop.time()
        try:
            for limit in [limit for limit in self._limits if limit.is_overdue(now)]:
                self._limits.discard(limit)
                limit.end()
        finally:
            if self._limits:
                loop.call_later(TICK, self._turn, loop)
            else:
                self._loop = None


class Limit:
    """As `asyncio.timeout(None)`: cancels the block when it has been moved to a time that comes: a `TimeoutError`."""

    __slots__ = ("_cancelling", "_task", "_wheel", "expired", "when")

    def __init__(self, wheel: Wheel) -> None:
        self._wheel = wheel
        self._task: asyncio.Task[object] | None = None
        self._cancelling = 0
        self.when: float | None = None
        self.expired = False

    def __enter__(self) -> Self:
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("a time limit is for a task")
        self._task, self._cancelling = task, task.cancelling()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self._wheel.discard(self)
        if not self.expired or self._task is None:
            return
        # Where somebody else has cancelled it too, that counts.
        alone = self._task.uncancel() <= self._cancelling
        if alone and kind is not None and issubclass(kind, asyncio.CancelledError):
            raise TimeoutError from error

    def move(self, when: float | None) -> None:
        """`when` is a time of the loop; `None`: never. One that has expired stays so."""
        before, self.when = self.when, when
        if when is None:
            self._wheel.discard(self)
        elif before is None and not self.expired:
            self._wheel.add(self)

    def is_overdue(self, now: float) -> bool:
        return self.when is not None and self.when <= now

    def end(self) -> None:
        """For `Wheel` alone."""
        if self._task is not None:
            self.expired = True
            self._task.cancel()
