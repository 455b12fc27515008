"""Those of one process who write to one stream: they take turns, and the next one knows what the last one made."""

import asyncio
from collections.abc import Hashable, Mapping
from uuid import UUID
from weakref import WeakValueDictionary

REMEMBERED = 1000
"""Streams whose revisions are kept: of interest to those who have read an older one and wait for their turn."""


class Turns:
    def __init__(self) -> None:
        self._locks: WeakValueDictionary[UUID, asyncio.Lock] = WeakValueDictionary()
        self._revisions: dict[Hashable, int] = {}

    def lock(self, key: UUID) -> asyncio.Lock:
        """It lives while somebody holds or awaits it."""
        return self._locks.setdefault(key, asyncio.Lock())

    def remember(self, announced: Mapping[Hashable, int]) -> None:
        for key, revision in announced.items():
            self._revisions[key] = max(revision, self._revisions.pop(key, 0))
            if len(self._revisions) > REMEMBERED:
                del self._revisions[next(iter(self._revisions))]

    def newest(self, key: Hashable, revision: int) -> int:
        """What a revision that was read has become since, as far as this process knows: others write too."""
        return max(revision, self._revisions.get(key, 0))
