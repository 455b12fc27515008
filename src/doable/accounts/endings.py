"""Ends of sessions, tokens and accounts, and other names and rights: told in one stream that every process follows.

It only names the user. What is left of his credentials, whoever remembers any reads again.
"""

import asyncio
from collections.abc import Callable, Collection
from datetime import datetime
from uuid import UUID

import orjson
import structlog

from doable.core import clock, streams
from doable.core import events as log
from doable.core.db import Database, DatabaseError, Transaction
from doable.core.errors import AppException
from doable.core.events import Event
from doable.core.watcher import POSITIONS, Watcher

STREAM = UUID(int=1)
"""No list and no person has this id: it is taken. Zero is nobody's."""
KIND = "credentials.ended"
LONGEST_SILENCE = 2.0
"""Seconds without a look at the stream after which nothing that is remembered counts any more."""
PAGE = 1_000

type Ended = Callable[[Collection[UUID] | None], None]
"""Told whose credentials have ended; `None`: perhaps everybody's."""

_log = structlog.get_logger(__name__)


async def tell(tx: Transaction, user_id: UUID, at: datetime, actor_id: UUID | None = None) -> None:
    """Comes last in its transaction: it locks the stream that everybody's ends have in common."""
    revision = await streams.bump(tx, STREAM)
    data = orjson.dumps({"user_id": str(user_id)}).decode()
    await log.append(tx, STREAM, revision, log.operation(actor_id, at), Event(KIND, data))


class Endings:
    """What a process knows of the stream."""

    def __init__(self, db: Database, watcher: Watcher) -> None:
        self._reads = db.reads
        self._watcher = watcher
        self._listeners: list[Ended] = []
        self._read = 0  # up to this revision
        self._target = 0
        self._seen = (0, float("-inf"))  # the newest revision that was certain, and when it was
        self._current_at = float("-inf")  # when we had last read everything
        self._wanted = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    @property
    def fresh(self) -> bool:
        """Whether what is remembered of credentials may be relied on."""
        return clock.monotonic() - self._current_at < LONGEST_SILENCE

    @property
    def settled(self) -> bool:
        """The same, and nothing is known to have been told that was not read yet: as of this process's own commits."""
        return self._read >= self._target and self.fresh

    async def look(self) -> bool:
        """The same, and where the last look is too long ago another one is taken first: we may have been held up."""
        if not self.fresh:
            began = clock.monotonic()
            self._moved(await self._revision(), began)
        return self.fresh

    def listen(self, ended: Ended) -> None:
        self._listeners.append(ended)

    async def start(self) -> None:
        self._current_at = clock.monotonic()
        self._read = self._target = await self._revision()
        self._watcher.watch(STREAM, self._moved)
        self._task = asyncio.create_task(self._run(), name="endings")

    async def close(self) -> None:
        self._watcher.unwatch(STREAM)
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    def _moved(self, revision: int | None, as_of: float | None) -> None:
        if revision is None:
            return
        self._target = max(self._target, revision)
        if as_of is not None:
            self._seen = (revision, as_of)
        if self._target > self._read:
            self._wanted.set()
        self._note()

    def _note(self) -> None:
        revision, as_of = self._seen
        if self._read >= revision:
            self._current_at = max(self._current_at, as_of)

    async def _run(self) -> None:
        while True:
            await self._wanted.wait()
            self._wanted.clear()
            try:
                while self._read < self._target:
                    await self._read_on()
            except DatabaseError:
                continue  # the watcher's next check wakes us again
            except Exception:  # noqa: BLE001 — as above; meanwhile we are not fresh
                _log.exception("endings_unread")
            self._note()

    async def _read_on(self) -> None:
        try:
            rows = await log.since(self._reads, STREAM, self._read, self._target, PAGE)
        except AppException:
            # Trimmed before we have read it; or what the hub has said is not true.
            self._read = self._target = await self._revision()
            self._tell(None)
            return
        self._tell({UUID(orjson.loads(row.data)["user_id"]) for row in rows})
        self._read = rows[-1].revision

    async def _revision(self) -> int:
        return (await self._reads.one(POSITIONS, stream_ids=[STREAM])).revision

    def _tell(self, user_ids: Collection[UUID] | None) -> None:
        for ended in self._listeners:
            ended(user_ids)
