"""All connections of this process: how they come into rooms, what they may still hear, and how they end."""

import asyncio
import re
from collections.abc import Collection, Iterable
from functools import partial
from typing import NamedTuple
from uuid import UUID
from weakref import WeakValueDictionary

import orjson
import structlog

from doable.accounts.endings import Endings
from doable.accounts.statements import tickets
from doable.core import clock
from doable.core import events as log
from doable.core.db import Database, DatabaseError
from doable.core.errors import AppException, Code, not_found
from doable.core.events import EventRow
from doable.core.hub import LocalHub
from doable.core.telemetry import Lifecycle
from doable.core.watcher import POSITIONS, Watcher
from doable.realtime import frames, statements
from doable.realtime.admission import Admission, gone, leaving, overloaded
from doable.realtime.clients import Client
from doable.realtime.conversation import Conversation
from doable.realtime.outbox import NO_SESSION, Closing
from doable.realtime.pace import Pace
from doable.realtime.rooms import Room, Source

PER_PERSON = 20
"""Connections that one person may have with one process."""
VERIFY_INTERVAL = 15.0
"""Seconds between two looks at everybody's credentials, which may expire, and two words about who is here."""
BATCH = 500

_log = structlog.get_logger(__name__)
_POSITION = re.compile(r"([a-z0-9]{8,16}):(0|[1-9][0-9]{0,17})")


class Resumed(NamedTuple):
    """Where a client was, and whether it can be brought from there to here."""

    position: int
    missed: list[frames.Frame] | None


class ConnectionManager:
    """One for a process. `connect` a client, `disconnect` it whatever happens, `broadcast` to a room."""

    def __init__(
        self, db: Database, epoch: str, hub: LocalHub, watcher: Watcher, endings: Endings, lifecycle: Lifecycle
    ) -> None:
        self.admission = Admission()
        self.epoch = epoch
        self._reads = db.reads
        self._watcher = watcher
        self._endings = endings
        self._lifecycle = lifecycle
        self._source = Source(db.reads, lambda: endings.fresh)
        self._rooms: dict[UUID, Room] = {}
        self._people: dict[UUID, set[Client]] = {}
        self._paces: WeakValueDictionary[UUID, Pace] = WeakValueDictionary()
        self._suspects: set[Client] = set()
        self._suspicion = asyncio.Event()
        self._conversation = Conversation(hub, self._rooms.get)
        self._tasks: list[asyncio.Task[None]] = []
        endings.listen(self._suspect)
        lifecycle.on_drain(self.drain)

    async def start(self) -> None:
        self._tasks = [
            asyncio.create_task(self._verify_always(), name="connections.verify"),
            asyncio.create_task(self._look_around(), name="connections"),
        ]

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for room in self._rooms.values():
            room.close()

    async def connect(self, client: Client, list_id: UUID | None, since: str | None) -> Resumed:
        """Have the client hear the list, or everything, from now on; a sociable one is welcomed first.

        Raises `NOT_FOUND`, `RATE_LIMITED` for one connection too many, `UNAVAILABLE`.
        """
        if self._lifecycle.draining:
            raise gone()
        if not await self._endings.look():
            raise overloaded()
        others = self._people.setdefault(client.user_id, set())
        if len(others) >= PER_PERSON:
            raise AppException(Code.RATE_LIMITED, f"You have {PER_PERSON} connections already.")
        others.add(client)
        client.pace = self._paces.setdefault(client.user_id, client.pace)
        # Its credential was read before it was known here, and may have ended in between.
        self._suspect({client.user_id})
        if list_id is None:
            return await self._follow_everything(client)
        return await self._enter(client, list_id, since)

    def disconnect(self, client: Client) -> None:
        for subscription in tuple(client.subscriptions.values()):
            client.unsubscribe(subscription)
            if subscription.live and client.sociable:
                self._conversation.leave(subscription.room, client.user)
        self._suspects.discard(client)
        others = self._people.get(client.user_id, set())
        others.discard(client)
        if not others:
            self._people.pop(client.user_id, None)

    def broadcast(self, client: Client, message: object) -> None:
        """What the client says, to everybody in its room. Raises `FORBIDDEN`, `UNAVAILABLE`."""
        if client.everything:
            raise AppException(Code.FORBIDDEN, "There are no messages in this room.")
        if not self._endings.fresh:
            raise AppException(Code.UNAVAILABLE, "The database does not answer.")
        text = frames.message(client.user, message)
        for subscription in client.subscriptions.values():
            self._conversation.say(subscription.room, text)

    def drain(self) -> None:
        """Send everybody to another process, not all at the same moment."""
        everybody = self._everybody()
        for client in everybody:
            client.outbox.close(leaving(len(everybody)), at_once=False)

    async def _enter(self, client: Client, list_id: UUID, since: str | None) -> Resumed:
        # Before anything is read: what becomes of the membership after that is heard.
        subscription = client.subscribe(self._room(list_id, str(list_id)))
        room = subscription.room
        found = await self._reads.first(statements.MEMBERSHIP, actor_id=client.user_id, list_id=list_id)
        if found is None or found.deleted_at is not None:
            raise not_found("list")
        subscription.seen = found.revision
        await room.reach(found.revision)
        known = self._known(since)
        if known is not None:
            known = await _at_hand(room, known)
        if not subscription.good:
            raise not_found("list")
        resumed = Resumed(room.position or 0, None if known is None else room.after(known))
        if client.sociable:
            self._conversation.enter(room, client.user)
            self._welcome(client, room, resumed, asked=since is not None)
        elif resumed.missed is not None:
            client.outbox.replay(resumed.missed)
        subscription.live = client.welcomed = True
        return resumed

    async def _follow_everything(self, client: Client) -> Resumed:
        home = client.subscribe(self._room(client.user_id, frames.ME))
        mine = await self._reads.first(POSITIONS, stream_ids=[client.user_id])
        home.seen = mine.revision if mine is not None else 0
        await home.room.reach(home.seen)
        for row in await self._reads.all(statements.MEMBERSHIPS, actor_id=client.user_id):
            client.subscribe(self._room(row.list_id, str(row.list_id)))
        shown = []
        for row in await self._reads.all(statements.MEMBERSHIPS, actor_id=client.user_id):
            await self._follow(client, row.list_id, row)
            if row.deleted_at is None:
                shown.append(row.list_id)
        for subscription in tuple(client.subscriptions.values()):
            subscription.live = subscription.good
            if not subscription.good:
                client.unsubscribe(subscription)
        followed = {id_: client.subscriptions[id_].room.position or 0 for id_ in shown if id_ in client.subscriptions}
        position = home.room.position or 0
        client.outbox.replay([frames.welcome(frames.ME, self.epoch, position, streams=followed)])
        client.welcomed = True
        return Resumed(position, None)

    async def _follow(self, client: Client, list_id: UUID, row: statements.Membership | None = None) -> None:
        """Hear one more list; a row that was read before we heard of the list's members is read again.

        Who was removed and has joined again may still hear it, until the room comes to his removal on its way here.
        """
        known = client.subscriptions.get(list_id)
        if row is None or known is None:
            known = client.subscribe(self._room(list_id, str(list_id)))
            row = await self._reads.first(statements.MEMBERSHIP, actor_id=client.user_id, list_id=list_id)
        if row is not None:
            known.seen = row.revision
            await known.room.reach(row.revision)
        if client not in self._people.get(client.user_id, ()):
            return  # everything has been unsubscribed meanwhile
        if client.subscriptions.get(list_id) is not known:
            await self._follow(client, list_id)
        elif client.welcomed and known.good:
            known.live = True
        elif (client.welcomed or row is None) and not known.live:
            client.unsubscribe(known)

    async def _prepare(self, room: Room, event: EventRow) -> None:
        """Who has joined a list hears it before he is told so: what he then reads of it has no gap to what follows."""
        if event.kind == "list.joined":
            list_id = UUID(orjson.loads(event.data)["list_id"])
            for subscription in tuple(room.subscriptions):
                if isinstance(subscription.client, Client) and subscription in room.subscriptions:
                    await self._follow(subscription.client, list_id)

    def _welcome(self, client: Client, room: Room, resumed: Resumed, *, asked: bool) -> None:
        recovered = resumed.missed is not None if asked else None
        online = room.presence.online.values()
        sent: list[frames.Frame | str] = [
            frames.welcome(room.name, self.epoch, resumed.position, online, recovered=recovered)
        ]
        if resumed.missed is not None:
            sent += [*resumed.missed, frames.caught_up(resumed.position)]
        client.outbox.replay(sent)

    def _known(self, since: str | None) -> int | None:
        """The revision that a position of ours names; nothing for a position of another epoch, and for nonsense."""
        match = _POSITION.fullmatch(since or "")
        return int(match[2]) if match is not None and match[1] == self.epoch else None

    def _room(self, stream_id: UUID, name: str) -> Room:
        room = self._rooms.get(stream_id)
        if room is None:
            room = Room(stream_id, name, self._source, self._prepare if name == frames.ME else None)
            self._rooms[stream_id] = room
            self._watcher.watch(stream_id, partial(self._moved, room))
        return room

    def _moved(self, room: Room, revision: int | None, as_of: float | None) -> None:
        room.moved(revision)
        if as_of is None:
            return
        room.forget()
        self._conversation.forget(room)
        if room.abandoned:
            self._watcher.unwatch(room.id)
            del self._rooms[room.id]
            room.close()

    def _everybody(self) -> list[Client]:
        return [client for clients in self._people.values() for client in clients]

    def _suspect(self, user_ids: Collection[UUID] | None) -> None:
        if user_ids is None:
            self._suspects.update(self._everybody())
        else:
            self._suspects.update(client for id_ in user_ids for client in self._people.get(id_, ()))
        if self._suspects:
            self._suspicion.set()

    async def _verify_always(self) -> None:
        while True:
            await self._suspicion.wait()
            self._suspicion.clear()
            suspects, self._suspects = self._suspects, set()
            try:
                await self._verify(suspects)
            except Exception as error:  # noqa: BLE001 — whatever it is, they stay suspects, and others will be
                if not isinstance(error, DatabaseError):
                    _log.exception("connections_unverified")
                self._suspects |= suspects
                self._suspicion.set()
                await asyncio.sleep(1)

    async def _verify(self, suspects: Iterable[Client]) -> None:
        """Close what was opened with a credential that has ended, or by somebody who may not come in any more."""
        clients, now = list(suspects), clock.now()
        for start in range(0, len(clients), BATCH):
            batch = clients[start : start + BATCH]
            sessions = [client.actor.session_id for client in batch if client.actor.session_id is not None]
            owners = [client.user_id for client in batch if client.actor.session_id is None]
            live = (
                set(await self._reads.all(tickets.LIVE_SESSIONS, session_ids=sessions, at=now)) if sessions else set()
            )
            tokens = set(await self._reads.all(tickets.LIVE_TOKENS, user_ids=owners, at=now)) if owners else set()
            for client in batch:
                if client.actor.session_id not in live and (client.user_id, client.actor.token_id) not in tokens:
                    client.outbox.close(Closing(NO_SESSION, "the session has ended"), at_once=True)

    async def _look_around(self) -> None:
        while True:
            await asyncio.sleep(VERIFY_INTERVAL)
            self._suspect(None)
            for room in tuple(self._rooms.values()):
                if room.presence.here:
                    self._conversation.tell_people(room)


async def _at_hand(room: Room, since: int) -> int | None:
    """`since`, if the events after it are at hand now."""
    try:
        await room.reach_back(since)
    except AppException as error:
        if error.code != log.position_lost().code:
            raise
        return None
    return since
