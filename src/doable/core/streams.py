"""Streams: one number per list, raised by every write to it under a row lock, so that its writes are serial."""

from typing import NamedTuple
from uuid import UUID

from sqlalchemy import BigInteger, Column, Named, Table, TypedColumns, bindparam, insert, update

from doable.core.db import Transaction
from doable.core.errors import not_found
from doable.core.queries import Query, query
from doable.core.tables import Id, metadata


class StreamColumns(TypedColumns):
    id: Named[UUID] = Column(Id, primary_key=True)
    revision: Named[int] = Column(BigInteger)
    trimmed: Named[int] = Column(BigInteger, server_default="0")  # the log begins after this revision


streams = Table("streams", metadata, StreamColumns)


class Revision(NamedTuple):
    revision: int


_OPEN = insert(streams)
_BUMP: Query[Revision] = query(
    Revision,
    update(streams)
    .where(streams.c.id == bindparam("stream_id"))
    .values(revision=streams.c.revision + bindparam("count", type_=BigInteger))
    .returning(streams.c.revision),
)


async def open_stream(tx: Transaction, stream_id: UUID, revision: int) -> None:
    """Make a stream that has so many events already; `events.append` writes them."""
    await tx.execute(_OPEN, id=stream_id, revision=revision)
    tx.announce(stream_id, revision)


async def bump(tx: Transaction, stream_id: UUID, count: int = 1) -> int:
    """Lock the stream until the transaction ends and return its new revision. Comes before any change of a row.

    Each of the `count` revisions gets its event before the transaction ends (`events.append`).
    Raises `NOT_FOUND` for a stream that has gone with its list.
    """
    await tx.turn(stream_id)
    bumped = await tx.first(_BUMP, stream_id=stream_id, count=count)
    if bumped is None:
        raise not_found("list")
    tx.announce(stream_id, bumped.revision)
    return bumped.revision


async def take_back(tx: Transaction, stream_id: UUID) -> None:
    """Undo a `bump` of this transaction, which holds the lock, when there was nothing to write after all."""
    tx.announce(stream_id, (await tx.one(_BUMP, stream_id=stream_id, count=-1)).revision)
