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


streams = Table("streams", metadata, StreamColumns)


class Revision(NamedTuple):
    revision: int


_OPEN = insert(streams)
_BUMP: Query[Revision] = query(
    Revision,
    update(streams)
    .where(streams.c.id == bindparam("stream_id"))
    .values(revision=streams.c.revision + 1)
    .returning(streams.c.revision),
)
_TAKE_BACK = update(streams).where(streams.c.id == bindparam("stream_id")).values(revision=streams.c.revision - 1)


async def open_stream(tx: Transaction, stream_id: UUID) -> None:
    await tx.execute(_OPEN, id=stream_id, revision=0)


async def bump(tx: Transaction, stream_id: UUID) -> int:
    """Lock the stream until the transaction ends and return its new revision. Comes before any change of a row.

    Raises `NOT_FOUND` for a stream that has gone with its list.
    """
    await tx.turn(stream_id)
    row = await tx.first(_BUMP, stream_id=stream_id)
    if row is None:
        raise not_found("list")
    return row.revision


async def take_back(tx: Transaction, stream_id: UUID) -> None:
    """Undo a `bump` of this transaction, which holds the lock, when there was nothing to write after all."""
    await tx.execute(_TAKE_BACK, stream_id=stream_id)
