"""What waits to be sent to one client, and how its connection ends."""

import asyncio
from collections import deque
from collections.abc import Iterable
from typing import NamedTuple

from doable.realtime.frames import Frame

MOST = 1_024
"""More than one operation on a todo with all its subtasks tells."""
MOST_BYTES = 1024 * 1024

NO_MEMBER = 4003
NO_SESSION = 4004
TOO_MANY = 4429
UNREADABLE = 1003
LEAVING = 1012
TOO_SLOW = 1013


class Closing(NamedTuple):
    code: int
    reason: str = ""


class Outbox:
    """Bounded by count and bytes; a client that does not read as fast as things happen is closed, and comes back.

    What is replayed was asked for and is shared with others: it does not count.
    """

    def __init__(self) -> None:
        # Nothing is made before it is needed: most of the time nothing waits, and there are many of us.
        self._replay: deque[Frame | str] | None = None
        self._waiting: deque[Frame | str] | None = None
        self._bytes = 0
        self._wanted: asyncio.Future[None] | None = None
        self._sender: asyncio.Task[object] | None = None
        self.closing: Closing | None = None

    def replay(self, frames: Iterable[Frame | str]) -> None:
        """Before everything else."""
        if self.closing is not None:
            return
        if self._replay is None:
            self._replay = deque()
        self._replay.extend(frames)
        self._wake()

    def push(self, frame: Frame | str) -> None:
        if self.closing is not None:
            return
        if self._waiting is None:
            self._waiting = deque()
        if len(self._waiting) >= MOST or self._bytes > MOST_BYTES:
            self.close(Closing(TOO_SLOW, "too slow"), at_once=True)
            return
        self._waiting.append(frame)
        self._bytes += _size(frame)
        self._wake()

    def close(self, closing: Closing, *, at_once: bool) -> None:
        """After what waits, or instead of it and of what is being sent."""
        if self.closing is not None and not at_once:
            return
        self.closing = self.closing or closing
        self._wake()
        if at_once:
            self._replay = self._waiting = None
            if self._sender is not None:
                self._sender.cancel()

    def bind(self, sender: asyncio.Task[object] | None) -> None:
        """Whoever sends: cancelled when the connection is to end at once. He looks at `closing` then."""
        self._sender = sender

    async def next(self) -> Frame | str | None:
        """`None` when nothing more is to be sent: then `closing` says why."""
        while True:
            if self._replay:
                return self._replay.popleft()
            if self._waiting:
                frame = self._waiting.popleft()
                self._bytes -= _size(frame)
                return frame
            if self.closing is not None:
                return None
            self._replay = self._waiting = None
            self._wanted = asyncio.get_running_loop().create_future()
            await self._wanted

    def _wake(self) -> None:
        if self._wanted is not None and not self._wanted.done():
            self._wanted.set_result(None)


def _size(frame: Frame | str) -> int:
    return len(frame if isinstance(frame, str) else frame.text)
