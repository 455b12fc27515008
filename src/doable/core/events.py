"""The log: what has happened to each stream, in the order of its revisions, without a gap.

An event is written in the transaction that made it happen, under the lock of its stream. So a stream's events become
visible in their order and together with its revision: who has read revision 7 finds all events up to 7.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    Column,
    Index,
    Integer,
    Named,
    Table,
    Text,
    TypedColumns,
    bindparam,
    delete,
    insert,
    select,
)

from doable.core import ids, streams
from doable.core.db import Transaction
from doable.core.errors import AppException, Code
from doable.core.queries import Query, Reader, Write, query
from doable.core.tables import Id, Instant, metadata


class EventColumns(TypedColumns):
    # No foreign keys: the bump of the stream in the same transaction has proved that it exists.
    stream_id: Named[UUID] = Column(Id, primary_key=True)
    revision: Named[int] = Column(BigInteger, primary_key=True, autoincrement=False)
    operation_id: Named[UUID] = Column(Id)
    at: Named[datetime] = Column(Instant)
    actor_id: Named[UUID | None] = Column(Id)
    kind: Named[str] = Column(Text)
    subject_id: Named[UUID | None] = Column(Id)  # what in the stream it happened to, if that has a history of its own
    data: Named[str] = Column(Text)  # JSON as it is answered; nobody parses it again


events = Table(
    "events",
    metadata,
    EventColumns,
    Index("ix_events_subject_id", "subject_id", "at", "revision"),
)


class Event(NamedTuple):
    """What a feature tells the log: `data` is the final JSON text."""

    kind: str
    data: str
    subject_id: UUID | None = None


class Operation(NamedTuple):
    """What the events of one operation have in common, in all streams that it touches."""

    id: UUID
    actor_id: UUID | None
    at: datetime


class EventRow(NamedTuple):
    stream_id: UUID
    revision: int
    operation_id: UUID
    at: datetime
    actor_id: UUID | None
    kind: str
    data: str


COLUMNS = tuple(events.c[name] for name in EventRow._fields)

_FORGET = delete(events).where(events.c.stream_id == bindparam("stream_id"))
_SOME = (
    select(events.c.revision)
    .where(events.c.stream_id == bindparam("some_of"))
    .order_by(events.c.revision)
    .limit(bindparam("most", type_=Integer))
)
_FORGET_SOME = _FORGET.where(events.c.revision.in_(_SOME))
_APPEND = insert(events)
_SINCE: Query[EventRow] = query(
    EventRow,
    select(*COLUMNS)
    .where(
        events.c.stream_id == bindparam("stream_id"),
        events.c.revision > bindparam("after"),
        events.c.revision <= bindparam("until"),
    )
    .order_by(events.c.revision)
    .limit(bindparam("most", type_=Integer)),
)


def operation(actor_id: UUID | None, at: datetime) -> Operation:
    return Operation(ids.new_id(), actor_id, at)


async def append(tx: Transaction, stream_id: UUID, revision: int, cause: Operation, *told: Event) -> None:
    """Write the events of an operation, the last of which has the `revision` that `streams.bump` gave."""
    await tx.many(_APPEND, _rows(stream_id, revision, cause, told))


def appending(stream_id: UUID, revision: int, cause: Operation, told: Event) -> Write:
    """`append` of a single event, for what is written at once."""
    (row,) = _rows(stream_id, revision, cause, [told])
    return Write(_APPEND, row)


async def add(tx: Transaction, stream_id: UUID, cause: Operation, *told: Event) -> int:
    """Raise a stream with its events: for what happens in this one alone, or in one that is locked already."""
    revision = await streams.bump(tx, stream_id, len(told))
    await append(tx, stream_id, revision, cause, *told)
    return revision


async def record(tx: Transaction, cause: Operation, told: Mapping[UUID, Sequence[Event]]) -> dict[UUID, int]:
    """Raise streams that the transaction has locked, each with its events, and return their revisions."""
    raised = await streams.bump_each(tx, {stream_id: len(its) for stream_id, its in told.items()})
    await tx.many(
        _APPEND,
        [row for stream_id, revision in raised.items() for row in _rows(stream_id, revision, cause, told[stream_id])],
    )
    return raised


async def forget(tx: Transaction, stream_id: UUID) -> None:
    """Delete a stream with all that has happened in it."""
    await tx.execute(_FORGET, stream_id=stream_id)
    await streams.close_stream(tx, stream_id)


async def forget_some(tx: Transaction, stream_id: UUID, most: int) -> bool:
    """Begin to delete a stream that nobody reads any more; whether anything was there to delete."""
    return await tx.execute(_FORGET_SOME, stream_id=stream_id, some_of=stream_id, most=most) > 0


async def since(reader: Reader, stream_id: UUID, after: int, until: int, most: int) -> list[EventRow]:
    """The first events after a revision; `until`: the revision of the stream, read before.

    Raises `POSITION_LOST` for what is ahead of the stream, and where the log does not reach back so far.
    """
    if after == until:
        return []
    rows = await reader.all(_SINCE, stream_id=stream_id, after=after, until=until, most=most) if after < until else []
    # Looking at the rows, and not at what `trimmed` said, leaves no moment in which the log could be trimmed unseen.
    # As many as there should be, the last where it should be: then none is missing.
    expected = min(most, until - after)
    if not rows or len(rows) != expected or rows[-1].revision != after + expected:
        raise position_lost()
    return rows


def _rows(stream_id: UUID, revision: int, cause: Operation, told: Sequence[Event]) -> list[dict[str, object]]:
    first = revision - len(told) + 1
    common = {"stream_id": stream_id, "operation_id": cause.id, "at": cause.at, "actor_id": cause.actor_id}
    return [{**common, "revision": first + n, **event._asdict()} for n, event in enumerate(told)]


def position_lost() -> AppException:
    return AppException(Code.POSITION_LOST, "The log has no events after this position; read the whole list again.")
