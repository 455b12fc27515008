"""Those of one process who write to one stream: they take turns, and the next one knows what the last one made."""

import asyncio
from collections.abc import Hashable, Mapping
from uuid import UUID
from weakref import WeakValueDictionary

from doable.core.faults import Unavailable

REMEMBERED = 1000
"""Streams whose revisions are kept: of interest to those who have read an older one and wait for their turn."""


class Turn:
    """Held by one at a time. Who holds it in vain, for the database is away, does so for all who wait behind him: one
    by one, each of them would wait for it as long as he has.
    """

    def __init__(self) -> None:
        self._lock = asyncio.Lock()
        self._failures = 0

    async def take(self) -> None:
        """Raises `Unavailable`."""
        seen = self._failures
        await self._lock.acquire()
        if self._failures > seen:
            self._lock.release()
            raise Unavailable("the one before could not reach the database")

    def release(self, *, in_vain: bool) -> None:
        self._failures += in_vain
        self._lock.release()


class Turns:
    def __init__(self) -> None:
        self._turns: WeakValueDictionary[UUID, Turn] = WeakValueDictionary()
        self._revisions: dict[Hashable, int] = {}

    async def take(self, key: UUID) -> Turn:
        """To be released; it lives while somebody holds or awaits it. Raises `Unavailable`."""
        turn = self._turns.setdefault(key, Turn())
        await turn.take()
        return turn

    def remember(self, announced: Mapping[Hashable, int]) -> None:
        for key, revision in announced.items():
            self._revisions[key] = max(revision, self._revisions.pop(key, 0))
            if len(self._revisions) > REMEMBERED:
                del self._revisions[next(iter(self._revisions))]

    def newest(self, key: Hashable, revision: int) -> int:
        """What a revision that was read has become since, as far as this process knows: others write too."""
        return max(revision, self._revisions.get(key, 0))
