"""Those of one process who write to one stream: they take turns, and each knows what the last one made."""

import asyncio
from collections.abc import Hashable, Mapping
from typing import NamedTuple
from uuid import UUID
from weakref import WeakValueDictionary

from doable.core.faults import Unavailable

REMEMBERED = 5_000
"""Streams whose revisions are kept, and pairs of a stream and a writer; beyond it the oldest are forgotten."""


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


class Standing(NamedTuple):
    """Where a stream is, as far as this process knows, and the role in which somebody has written to it."""

    revision: int
    role: str


class Turns:
    """Nothing that it says is believed by a write, which asks the database: it saves those who are right a look.

    A turn is given to those alone who have looked, or written: nobody waits for a stranger.
    """

    def __init__(self) -> None:
        self._turns: WeakValueDictionary[UUID, Turn] = WeakValueDictionary()
        self._revisions: dict[Hashable, int] = {}
        self._roles: dict[tuple[UUID, UUID | None], str] = {}

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

    def hear(self, key: UUID, revision: int) -> None:
        """What another process may have made of a stream."""
        if revision > self._revisions.get(key, revision):
            self._revisions[key] = revision

    def newest(self, key: Hashable, revision: int) -> int:
        """What a revision that was read has become since, as far as this process knows: others write too."""
        return max(revision, self._revisions.get(key, 0))

    def admit(self, key: UUID, writer: UUID, role: str) -> None:
        """He has written there."""
        self._roles.pop((key, writer), None)
        self._roles[key, writer] = role
        if len(self._roles) > REMEMBERED:
            del self._roles[next(iter(self._roles))]

    def recall(self, key: UUID, writer: UUID) -> Standing | None:
        revision, role = self._revisions.get(key), self._roles.get((key, writer))
        return None if revision is None or role is None else Standing(revision, role)

    def forget(self, key: UUID, writer: UUID | None) -> None:
        """What was believed was wrong: he has to look before he waits for a turn again."""
        self._revisions.pop(key, None)
        self._roles.pop((key, writer), None)
