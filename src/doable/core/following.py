"""What is done about events once they are committed: the log is read on from where it was left, each event once.

So a write costs no more than one job for its list, and only where somebody has said `streams.follow`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import BigInteger, bindparam, select, update

from doable.core import clock, events, jobs
from doable.core.db import Database, Transaction
from doable.core.errors import AppException
from doable.core.events import EventRow
from doable.core.jobs import Run, job
from doable.core.queries import Query, query
from doable.core.streams import FollowedRaised, streams

AT_ONCE = 200
TURN_SECONDS = 10.0
"""After so long the others have theirs: a list that is written all the time would never be done."""


@dataclass(frozen=True, slots=True)
class Happened:
    """Events of one stream in their order, told in a transaction of their own."""

    stream_id: UUID
    events: Sequence[EventRow]


class _Place(NamedTuple):
    revision: int
    followed: int | None


_PLACE: Query[_Place] = query(
    _Place, select(streams.c.revision, streams.c.followed).where(streams.c.id == bindparam("stream_id"))
)
_MOVE = (
    update(streams)
    .where(streams.c.id == bindparam("stream_id"), streams.c.followed == bindparam("left", type_=BigInteger))
    .values(followed=bindparam("reached", type_=BigInteger))
)


async def enqueue(tx: Transaction, fact: FollowedRaised) -> None:
    """Whoever raises a stream holds its lock: writers of different lists do not meet at this job."""
    await _enqueue(tx, fact.stream_id)


@job("core.follow")
async def follow(run: Run, stream_id: UUID) -> None:
    began = clock.monotonic()
    while await _go_on(run.tools.db, stream_id):
        if clock.monotonic() - began > TURN_SECONDS:
            async with run.tools.db.transaction() as tx:
                await _enqueue(tx, stream_id)
            return


async def _enqueue(tx: Transaction, stream_id: UUID) -> None:
    await jobs.enqueue(tx, follow, stream_id, key=f"follow:{stream_id}")


async def _go_on(db: Database, stream_id: UUID) -> bool:
    """Tell the next events; whether there may be more."""
    place = await db.reads.first(_PLACE, stream_id=stream_id)
    if place is None or place.followed is None or place.followed >= place.revision:
        return False
    try:
        rows = await events.since(db.reads, stream_id, place.followed, place.revision, AT_ONCE)
    except AppException:  # trimmed before it was told: nobody wants to know any more
        rows = []
    reached = rows[-1].revision if rows else place.revision
    async with db.transaction() as tx:
        await tx.turn(stream_id)
        moved = await tx.execute(_MOVE, stream_id=stream_id, left=place.followed, reached=reached)
        if moved and rows:
            await tx.tell(Happened(stream_id, rows))
    return bool(moved)  # else another was faster, and looks once more before it ends
