"""The end of the log that is cut off: events that are older than the log is kept, stream after stream."""

from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import BigInteger, Integer, bindparam, delete, func, select, update

from doable.core.db import Database
from doable.core.events import events
from doable.core.queries import Query, query, scalar
from doable.core.streams import streams

STREAMS_AT_ONCE = 500
EVENTS_AT_ONCE = 1000


class _Stream(NamedTuple):
    id: UUID
    first_at: datetime


_FIRST_EVENTS: Query[_Stream] = query(
    _Stream,
    select(streams.c.id, events.c.at.label("first_at"))
    .join_from(streams, events, (events.c.stream_id == streams.c.id) & (events.c.revision == streams.c.trimmed + 1))
    .where(streams.c.id > bindparam("after_id"))
    .order_by(streams.c.id)
    .limit(bindparam("most", type_=Integer)),
)
_FIRST = (
    select(events.c.revision, events.c.at)
    .where(events.c.stream_id == bindparam("stream_id"))
    .order_by(events.c.revision)
    .limit(bindparam("most", type_=Integer))
    .subquery()
)
_LAST_OLD: Query[int | None] = query(
    scalar, select(func.max(_FIRST.c.revision).label("revision")).where(_FIRST.c.at < bindparam("before"))
)
_RAISE = (
    update(streams)
    .where(streams.c.id == bindparam("stream_id"), streams.c.trimmed < bindparam("cut"))
    .values(trimmed=bindparam("cut", type_=BigInteger))
)
_CUT = delete(events).where(events.c.stream_id == bindparam("stream_id"), events.c.revision <= bindparam("cut"))


async def trim(db: Database, before: datetime) -> None:
    """Delete what happened before that. A stream keeps its revision, even when none of its events is left."""
    after = UUID(int=0)
    while rows := await db.reads.all(_FIRST_EVENTS, after_id=after, most=STREAMS_AT_ONCE):
        for row in rows:
            if row.first_at < before:
                while await _trim_some(db, row.id, before):
                    pass
        after = rows[-1].id


async def _trim_some(db: Database, stream_id: UUID, before: datetime) -> bool:
    """Whether there may be more."""
    cut = await db.reads.one(_LAST_OLD, stream_id=stream_id, before=before, most=EVENTS_AT_ONCE)
    if cut is None:
        return False
    async with db.transaction() as tx:
        await tx.execute(_RAISE, stream_id=stream_id, cut=cut)
        return await tx.execute(_CUT, stream_id=stream_id, cut=cut) == EVENTS_AT_ONCE
