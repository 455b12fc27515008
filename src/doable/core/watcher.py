"""Who watches a stream is told when it moves: at once by the hub, within a second by the database."""

import asyncio
from collections.abc import Callable
from itertools import batched
from typing import NamedTuple
from uuid import UUID

import structlog
from sqlalchemy import bindparam, select

from doable.core import clock
from doable.core.db import DatabaseError
from doable.core.hub import LocalHub
from doable.core.queries import Query, Reader, query
from doable.core.streams import streams

INTERVAL = 1.0
BATCH = 500

_log = structlog.get_logger(__name__)


class Position(NamedTuple):
    id: UUID
    revision: int


type Moved = Callable[[int | None, float | None], None]
"""Told a revision, `None` for a stream that is gone, and since when (monotonic) it is known to have no higher one.

The hub knows no such instant.
"""

POSITIONS: Query[Position] = query(
    Position, select(streams.c.id, streams.c.revision).where(streams.c.id.in_(bindparam("stream_ids", expanding=True)))
)


class Watcher:
    """One for a process. A stream has one that watches it."""

    def __init__(self, reads: Reader, hub: LocalHub) -> None:
        self._reads = reads
        self._watched: dict[UUID, Moved] = {}
        self._task: asyncio.Task[None] | None = None
        self._failing = False
        hub.on_moved(self._heard)

    def watch(self, stream_id: UUID, moved: Moved) -> None:
        self._watched[stream_id] = moved

    def unwatch(self, stream_id: UUID) -> None:
        self._watched.pop(stream_id, None)

    async def start(self) -> None:
        self._task = asyncio.create_task(self._run(), name="watcher")

    async def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    async def check(self) -> None:
        """Tell everybody where his stream is now."""
        for batch in batched(tuple(self._watched), BATCH):
            began = clock.monotonic()
            found = {row.id: row.revision for row in await self._reads.all(POSITIONS, stream_ids=list(batch))}
            for stream_id in batch:
                if (moved := self._watched.get(stream_id)) is not None:
                    moved(found.get(stream_id), began)

    def _heard(self, stream_id: UUID, revision: int) -> None:
        if (moved := self._watched.get(stream_id)) is not None:
            moved(revision, None)

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(INTERVAL)
            try:
                await self.check()
                self._failing = False
            except DatabaseError as error:
                if not self._failing:
                    _log.warning("positions_unread", reason=repr(error))
                self._failing = True
            except Exception:  # noqa: BLE001 — the next check asks again
                _log.exception("positions_unread")
