"""The one row about the database as a whole."""

import asyncio
import signal
from contextlib import suppress
from typing import NamedTuple

import structlog
from sqlalchemy import CheckConstraint, Column, Integer, Named, Table, Text, TypedColumns, select

from doable.core import ids
from doable.core.faults import DatabaseError
from doable.core.queries import Query, Reader, query
from doable.core.tables import metadata

INTERVAL = 1.0

_log = structlog.get_logger(__name__)


class InstanceColumns(TypedColumns):
    id: Named[int] = Column(Integer, primary_key=True)
    epoch: Named[str] = Column(Text)


instance = Table("instance", metadata, InstanceColumns, CheckConstraint("id = 1", name="single"))


class Epoch(NamedTuple):
    epoch: str


def new_epoch() -> str:
    return ids.new_secret()[:6].hex()


EPOCH: Query[Epoch] = query(Epoch, select(instance.c.epoch))


class EpochWatch:
    """Ends the process as Ctrl-C does when the database has another epoch than at its start.

    Its positions and ETags would be of the epoch before; whoever starts it again has the new one.
    """

    def __init__(self, reads: Reader, epoch: str) -> None:
        self._reads = reads
        self._epoch = epoch
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        self._task = asyncio.create_task(self._run(), name="epoch")

    def leave(self) -> None:
        """Whoever is ending already is not told to end: a second signal would end him where he stands."""
        if self._task is not None:
            self._task.cancel()

    async def close(self) -> None:
        self.leave()
        if self._task is not None:
            await asyncio.wait([self._task])

    async def _run(self) -> None:
        found: Epoch | None = None
        while found is None or found.epoch == self._epoch:
            await asyncio.sleep(INTERVAL)
            with suppress(DatabaseError):  # the next look may succeed; others say that the database is away
                found = await self._reads.first(EPOCH)
        _log.error("epoch_changed", before=self._epoch, now=found.epoch)
        signal.raise_signal(signal.SIGINT)
