"""Streams: one number per list and per person, raised by every write to it under a row lock: its writes are serial."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import BigInteger, Column, Named, Table, TypedColumns, bindparam, delete, insert, select, update

from doable.core.db import Transaction
from doable.core.errors import not_found
from doable.core.queries import Query, Write, query
from doable.core.tables import Id, metadata


class StreamColumns(TypedColumns):
    id: Named[UUID] = Column(Id, primary_key=True)
    revision: Named[int] = Column(BigInteger)
    trimmed: Named[int] = Column(BigInteger, server_default="0")  # the log begins after this revision
    followed: Named[int | None] = Column(BigInteger)  # what `core.following` has told; null: nobody wants to know


streams = Table("streams", metadata, StreamColumns)


class Raised(NamedTuple):
    id: UUID
    revision: int
    followed: int | None


class Seen(NamedTuple):
    """A stream that nobody follows, as it was read without its lock."""

    id: UUID
    revision: int


@dataclass(frozen=True, slots=True)
class FollowedRaised:
    """There will be something new in a stream that is followed."""

    stream_id: UUID


_OPEN = insert(streams)
_CLOSE = delete(streams).where(streams.c.id == bindparam("stream_id"))
_BUMP: Query[Raised] = query(
    Raised,
    update(streams)
    .where(streams.c.id == bindparam("stream_id"))
    .values(revision=streams.c.revision + bindparam("count", type_=BigInteger))
    .returning(streams.c.id, streams.c.revision, streams.c.followed),
)
_ADVANCE = (
    update(streams)
    .where(
        streams.c.id == bindparam("stream_id"),
        streams.c.revision == bindparam("seen", type_=BigInteger),
        streams.c.followed.is_(None),
    )
    .values(revision=streams.c.revision + 1)
)
_LOCK: Query[Raised] = query(
    Raised,
    select(streams.c.id, streams.c.revision, streams.c.followed)
    .where(streams.c.id.in_(bindparam("stream_ids", expanding=True)))
    .order_by(streams.c.id)
    .with_for_update(),
)
_BUMP_EACH: Query[Raised] = query(
    Raised,
    update(streams)
    .where(streams.c.id.in_(bindparam("stream_ids", expanding=True)))
    .values(revision=streams.c.revision + bindparam("count", type_=BigInteger))
    .returning(streams.c.id, streams.c.revision, streams.c.followed),
)
_FOLLOW = (
    update(streams)
    .where(streams.c.id == bindparam("stream_id"), streams.c.followed.is_(None))
    .values(followed=bindparam("after", type_=BigInteger))
)


async def open_stream(tx: Transaction, stream_id: UUID, revision: int) -> None:
    """Make a stream that has so many events already; `events.append` writes them."""
    await tx.execute(_OPEN, id=stream_id, revision=revision)
    tx.announce(stream_id, revision)


async def close_stream(tx: Transaction, stream_id: UUID) -> None:
    """Its events go too: `events.forget`."""
    await tx.execute(_CLOSE, stream_id=stream_id)


async def bump(tx: Transaction, stream_id: UUID, count: int = 1) -> int:
    """Lock the stream until the transaction ends and return its new revision. Comes before any change of a row.

    Each of the `count` revisions gets its event before the transaction ends (`events.append`).
    Raises `NOT_FOUND` for a stream that has gone with its list.
    """
    await tx.turn(stream_id)
    bumped = await tx.first(_BUMP, stream_id=stream_id, count=count)
    if bumped is None:
        raise not_found("list")
    await _tell(tx, bumped)
    return bumped.revision


def advance(seen: Seen) -> Write:
    """Raise a stream by one if it still is as it was seen.

    Then nothing that is ordered by it has changed since, and needs no lock to be believed.
    """
    return Write(_ADVANCE, {"stream_id": seen.id, "seen": seen.revision})


async def lock(tx: Transaction, stream_ids: Collection[UUID]) -> dict[UUID, int]:
    """Lock streams in the order of their ids, until the transaction ends; the revisions of those that there are.

    Whoever writes to more than one has to begin with this, and may then raise them in any order.
    """
    if not stream_ids:
        return {}
    await tx.turn(min(stream_ids))
    return {stream.id: stream.revision for stream in await tx.all(_LOCK, stream_ids=sorted(set(stream_ids)))}


async def bump_each(tx: Transaction, counts: Mapping[UUID, int]) -> dict[UUID, int]:
    """`bump` for streams that the transaction has locked: a statement for each different count."""
    raised: dict[UUID, int] = {}
    for count in set(counts.values()):
        stream_ids = [stream_id for stream_id, its in counts.items() if its == count]
        for stream in await tx.all(_BUMP_EACH, stream_ids=stream_ids, count=count):
            await _tell(tx, stream)
            raised[stream.id] = stream.revision
    return raised


async def take_back(tx: Transaction, stream_id: UUID) -> None:
    """Undo a `bump` of this transaction, which holds the lock, when there was nothing to write after all."""
    tx.announce(stream_id, (await tx.one(_BUMP, stream_id=stream_id, count=-1)).revision)


async def follow(tx: Transaction, after: Mapping[UUID, int]) -> None:
    """Have `core.following` tell what happens in these streams, which the transaction has locked, after a revision.

    Those that are followed already stay as they are.
    """
    await tx.many(_FOLLOW, ({"stream_id": stream_id, "after": revision} for stream_id, revision in after.items()))
    for stream_id in after:
        await tx.tell(FollowedRaised(stream_id))


async def _tell(tx: Transaction, raised: Raised) -> None:
    tx.announce(raised.id, raised.revision)
    if raised.followed is not None:
        await tx.tell(FollowedRaised(raised.id))
