"""A room: the live end of one stream's log, read once for all who are in it."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from itertools import islice
from typing import NamedTuple, Protocol
from uuid import UUID

import orjson
import structlog

from doable.core import clock
from doable.core import events as log
from doable.core.db import DatabaseError
from doable.core.errors import AppException
from doable.core.events import EventRow
from doable.core.queries import Reader
from doable.core.watcher import POSITIONS
from doable.realtime import frames
from doable.realtime.admission import leaving, overloaded
from doable.realtime.frames import Frame
from doable.realtime.outbox import Outbox
from doable.realtime.presence import Presence

REPLAY = 1_000
"""How far behind somebody may be who is brought up to date by a replay."""
PAGE = 500
IN_A_ROW = 64
"""Events that are handed out before those who send have their turn: fewer than an outbox holds."""
KEPT = 60.0
"""Seconds that events are kept for those who come back, and half as long a room that everybody has left."""

_log = structlog.get_logger(__name__)


class Hearer(Protocol):
    """What a room knows of a client."""

    outbox: Outbox
    everything: bool
    sociable: bool

    @property
    def user_id(self) -> UUID: ...
    def lose(self, subscription: "Subscription") -> None: ...


class Subscription:
    """`seen`: a revision at which the person was a member. `lost`: one at which he was no more, if that came up.

    Only the second can come while the first is still being read; so it is there before that.
    """

    __slots__ = ("client", "live", "lost", "room", "seen")

    def __init__(self, client: Hearer, room: "Room") -> None:
        self.client = client
        self.room = room
        self.live = False
        self.seen: int | None = None
        self.lost: int | None = None

    @property
    def good(self) -> bool:
        return self.seen is not None and (self.lost is None or self.lost <= self.seen)


class Source(NamedTuple):
    """Where rooms read, and whether what is known of memberships and sessions is new enough to deliver by it."""

    reads: Reader
    may_deliver: Callable[[], bool]


type Prepare = Callable[["Room", EventRow], Awaitable[None]]
"""What has to be done before an event is delivered."""


class Room:
    """`position` is the revision up to which it has delivered; unknown until the first who comes has read one."""

    def __init__(self, stream_id: UUID, name: str, source: Source, prepare: Prepare | None = None) -> None:
        self.id = stream_id
        self.name = name
        self.presence = Presence()
        self.subscriptions: dict[Subscription, None] = {}
        self.position: int | None = None
        self._source = source
        self._prepare = prepare
        self._target = 0
        self._tail: deque[Frame] = deque()  # without a gap, ending at the position
        self._progress = asyncio.Event()
        self._reading: asyncio.Task[None] | None = None
        self._reading_back: asyncio.Task[None] | None = None
        self._empty_since: float | None = None

    @property
    def abandoned(self) -> bool:
        """Whether nobody has been here for so long that nobody is expected back."""
        if self.subscriptions:
            self._empty_since = None
        elif self._empty_since is None:
            self._empty_since = clock.monotonic()
        return self._empty_since is not None and clock.monotonic() - self._empty_since > KEPT / 2

    def moved(self, revision: int | None) -> None:
        """The stream has this revision at least; `None`: there is no such stream any more."""
        if revision is not None:
            self._target = max(self._target, revision)
            self._read_on()
        elif self.position:
            self._end(self.position + 1, with_all=True)
            self._stop_at(self.position)

    def forget(self) -> None:
        """Let go of the events for which nobody has come back."""
        horizon = clock.monotonic() - KEPT
        while self._tail and self._tail[0].kept_at < horizon:
            self._tail.popleft()

    def close(self) -> None:
        for task in (self._reading, self._reading_back):
            if task is not None:
                task.cancel()

    async def reach(self, revision: int) -> None:
        """Wait until the room has delivered so far. Raises `UNAVAILABLE` if the stream is gone or not that far."""
        if self.position is None:
            self.position = revision
        self.moved(revision)
        while self.position < revision:
            if self._target < revision:
                raise overloaded()
            self._progress.clear()
            await self._progress.wait()

    async def reach_back(self, since: int) -> None:
        """Have the events after `since` at hand, unless that is too far back. Raises `POSITION_LOST`.

        Whoever comes while they are being read waits for the same statement.
        """
        while self.position is not None and self.position - REPLAY <= since < self.position - len(self._tail):
            if self._reading_back is None or self._reading_back.done():
                self._reading_back = asyncio.create_task(self._read_back(since), name="room.back")
            await asyncio.shield(self._reading_back)

    def after(self, since: int) -> list[Frame] | None:
        """The events after `since`, all or nothing."""
        behind = (self.position or 0) - since
        if not 0 <= behind <= len(self._tail):
            return None
        return list(islice(self._tail, len(self._tail) - behind, None))

    def send(self, text: str) -> None:
        """To everybody who sees who is there, and is known to be a member still."""
        if not self._source.may_deliver():
            return
        for subscription in self.subscriptions:
            if subscription.live and subscription.client.sociable:
                subscription.client.outbox.push(text)

    def _read_on(self) -> None:
        behind = self.position is not None and self.position < self._target
        if behind and (self._reading is None or self._reading.done()):
            self._reading = asyncio.create_task(self._catch_up(), name="room")

    async def _catch_up(self) -> None:
        """Until the next check has us try again, if anything is wrong."""
        try:
            while self.position is not None and self.position < self._target and self._source.may_deliver():
                for row in await self._next_rows(self.position):
                    if self._prepare is not None:
                        await self._prepare(self, row)
                    self._deliver(row)
                    if row.revision % IN_A_ROW == 0:
                        await asyncio.sleep(0)
                await asyncio.sleep(0)
        except DatabaseError:
            pass
        except Exception:  # noqa: BLE001 — as above
            _log.exception("room_stuck", room=self.name)

    async def _next_rows(self, position: int) -> list[EventRow]:
        try:
            return await log.since(self._source.reads, self.id, position, self._target, PAGE)
        except AppException:
            found = await self._source.reads.first(POSITIONS, stream_ids=[self.id])
            real = found.revision if found is not None else position
            if position < self._target <= real:  # trimmed before we have read it
                self._interrupt()
                self.position = real
            self._stop_at(real)  # or what the hub has said is not true
            return []

    def _stop_at(self, revision: int) -> None:
        """There is no more, whatever we have been told; whoever waits for more looks again."""
        self._target = revision
        self._progress.set()

    def _interrupt(self) -> None:
        """Everybody comes back and finds himself somewhere else."""
        self._tail.clear()
        for subscription in self.subscriptions:
            subscription.client.outbox.close(leaving(len(self.subscriptions)), at_once=True)

    def _deliver(self, row: EventRow) -> None:
        frame = frames.event(row, self.name)
        self.position = row.revision
        self._tail.append(frame)
        if len(self._tail) > REPLAY:
            self._tail.popleft()
        for subscription in self.subscriptions:
            if subscription.live:
                subscription.client.outbox.push(frame)
        if row.kind == "todo.purged":
            self._tail.clear()  # the log tells no more what was in it
        elif row.kind == "member.removed":
            self._remove(UUID(orjson.loads(row.data)["user_id"]), row.revision)
        elif row.kind == "list.deleted":
            self._end(row.revision, with_all=False)
        self._progress.set()

    def _remove(self, user_id: UUID, revision: int) -> None:
        for subscription in tuple(self.subscriptions):
            if subscription.client.user_id == user_id:
                _lose(subscription, revision)

    def _end(self, revision: int, *, with_all: bool) -> None:
        """Nobody may be here any more; but whoever hears everything may wait for a list that can be restored."""
        for subscription in tuple(self.subscriptions):
            if with_all or not subscription.client.everything:
                _lose(subscription, revision)

    async def _read_back(self, since: int) -> None:
        high = (self.position or 0) - len(self._tail)
        rows = await log.since(self._source.reads, self.id, since, high, REPLAY)
        if high == (self.position or 0) - len(self._tail):  # else some were let go of meanwhile
            self._tail.extendleft(frames.event(row, self.name) for row in reversed(rows))


def _lose(subscription: Subscription, revision: int) -> None:
    subscription.lost = revision
    if subscription.live:
        subscription.client.lose(subscription)
