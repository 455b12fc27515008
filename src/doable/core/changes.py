"""How a row is changed: read it, take its list's turn, write it if it is still as it was read, else read it again.

Then the log is told, in the same transaction and with the stream still locked.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Any, NamedTuple
from uuid import UUID

from doable.core import clock, streams, versions
from doable.core import events as log
from doable.core.db import SerializationFailure, Transaction
from doable.core.events import Event, Operation
from doable.core.queries import Reader, Write
from doable.core.streams import Seen
from doable.core.versions import Expected


class Changed[R](NamedTuple):
    """A row after an operation, and the revision of its list that it made, `None` when nothing changed.

    `text`: the row as JSON, where that has been made for the log already.
    """

    row: R
    revision: int | None
    text: bytes | None = None


class Written[R](NamedTuple):
    """A row after it was written, and what there is to tell of others of its list that changed with it."""

    row: R
    others: Sequence[Event] = ()


class Ready[R](NamedTuple):
    """What a row will be, as JSON too, with the statement that makes it so and what the log is told."""

    row: R
    text: bytes
    write: Write
    told: Event


class AtOnce[R](NamedTuple):
    """For a change that is one statement and no more, whatever the time: `find` reads the stream together with the row.

    The stream is `None` where its lock is needed anyway. `ready` is what `write` and `event` would come to.
    """

    find: Callable[[Reader], Awaitable[tuple[R, Seen | None]]]
    ready: Callable[[R, Mapping[str, Any], datetime], Ready[R]]


class Change[R](NamedTuple):
    """What an operation wants.

    `find` reads the row and refuses whoever may not; `shows` is what its ETag is made of, beginning with the version;
    `stream` names the stream that orders its changes; `differences` are the columns that would become other; `write`
    sets them and answers what it wrote, if the row still has its version; `event` says what became of it, from the row
    before and the row after; `refuse` raises where the row, as it is, does not allow the change; `expected` are the
    versions that the client has seen. `at_once`, for a change that is all its transaction does.
    """

    find: Callable[[Reader], Awaitable[R]]
    shows: Callable[[R], tuple[int, *tuple[str, ...]]]
    stream: Callable[[R], UUID]
    differences: Callable[[R, datetime], Mapping[str, Any]]
    write: Callable[[Transaction, R, Mapping[str, Any], datetime], Awaitable[Written[R] | None]]
    event: Callable[[R, R], Event]
    actor_id: UUID
    refuse: Callable[[R], None] | None = None
    expected: Expected | None = None
    at_once: AtOnce[R] | None = None


async def apply[R](tx: Transaction, change: Change[R]) -> Changed[R]:
    """Two readers who saw the same version cannot both write it: the second reads again, with the stream locked."""
    row, seen = await _look(tx, change)
    new = change.differences(row, clock.now())
    if not new:
        await tx.open()
        return Changed(row, None)
    if seen is not None and (changed := await _apply_at_once(tx, change, row, new, seen)) is not None:
        return changed
    stream = change.stream(row)
    revision = await streams.bump(tx, stream)
    now = clock.now()  # after the wait for the lock: the log's instants rise with its revisions
    written = await change.write(tx, row, change.differences(row, now), now)
    if written is None:
        row = await _read(tx, change)
        new = change.differences(row, now)
        if not new:
            await streams.take_back(tx, stream)
            return Changed(row, None)
        written = await change.write(tx, row, new, now) if change.stream(row) == stream else None
        if written is None:
            raise SerializationFailure("it changes faster than it can be read")
    told = change.event(row, written.row), *written.others
    if written.others:
        revision = await streams.bump(tx, stream, len(written.others))
    await log.append(tx, stream, revision, log.operation(change.actor_id, now), *told)
    return Changed(written.row, revision)


async def write_at_once[R](
    tx: Transaction, seen: Seen, changed: Changed[R], cause: Operation, told: Event, write: Write
) -> bool:
    """Raise a stream that is as it was seen, write a row with its event, and commit: the whole of a transaction.

    `False`: it is not, or there is no row to write. Nothing has happened then, and the stream's lock will tell more.
    """
    revision = seen.revision + 1
    writes = streams.advance(seen), write, log.appending(seen.id, revision, cause, told)
    if not await tx.at_once(*writes, result=changed):
        tx.turns.forget(seen.id, cause.actor_id)
        return False
    tx.announce(seen.id, revision)
    return True


async def _look[R](tx: Transaction, change: Change[R]) -> tuple[R, Seen | None]:
    """The row, and the stream where that is enough to write at once."""
    if change.at_once is None:
        return await _read(tx.ahead, change), None
    return await tx.look(partial(_read_with_stream, change=change, find=change.at_once.find))


async def _apply_at_once[R](
    tx: Transaction, change: Change[R], row: R, new: Mapping[str, Any], seen: Seen
) -> Changed[R] | None:
    """Without a lock: nothing is written unless row and stream are as they were read. `None` then, too."""
    at_once = change.at_once
    if at_once is None or not tx.can_be_at_once:
        return None
    await tx.turn(seen.id)
    seen, now = Seen(seen.id, tx.turns.newest(*seen)), clock.now()
    ready = at_once.ready(row, new, now)
    changed, cause = Changed(ready.row, seen.revision + 1, ready.text), log.operation(change.actor_id, now)
    return changed if await write_at_once(tx, seen, changed, cause, ready.told, ready.write) else None


async def _read[R](reader: Reader, change: Change[R]) -> R:
    row = await change.find(reader)
    _check(change, row)
    return row


async def _read_with_stream[R](
    reader: Reader, change: Change[R], find: Callable[[Reader], Awaitable[tuple[R, Seen | None]]]
) -> tuple[R, Seen | None]:
    row, seen = await find(reader)
    _check(change, row)
    return row, seen


def _check[R](change: Change[R], row: R) -> None:
    versions.check(change.expected, *change.shows(row))
    if change.refuse is not None:
        change.refuse(row)


def instants(row: object, wanted: Mapping[str, Any], now: datetime, *flags: str) -> dict[str, Any]:
    """`wanted` with each of its flags as the column that keeps it: `completed` as `completed_at`.

    A flag is `True` (since now, unless it was so before), an instant, or `False`.
    """
    new = dict(wanted)
    for flag in flags:
        if (value := new.pop(flag, None)) is not None:
            since = getattr(row, f"{flag}_at")
            new[f"{flag}_at"] = (since or (now if value is True else value)) if value else None
    return new
