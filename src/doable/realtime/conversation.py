"""What people say in rooms and that they are there: told to everybody who is connected, best effort, and never kept."""

from collections.abc import Callable
from uuid import UUID

import orjson
import structlog

from doable.accounts.schemas import UserRef
from doable.core.hub import LocalHub
from doable.realtime import frames
from doable.realtime.presence import Changes
from doable.realtime.rooms import Room

_log = structlog.get_logger(__name__)


class Conversation:
    """Where the hub reaches other processes, their people hear it, too."""

    def __init__(self, hub: LocalHub, find: Callable[[UUID], Room | None]) -> None:
        self._hub = hub
        self._find = find
        hub.on_said(self._heard)

    def say(self, room: Room, text: str) -> None:
        room.send(text)
        self._tell({"room": str(room.id), "text": text})

    def enter(self, room: Room, user: UserRef) -> None:
        alone = not room.presence.here
        self._show(room, room.presence.enter(user))
        self.tell_people(room, asking=alone)

    def leave(self, room: Room, user: UserRef) -> None:
        self._show(room, room.presence.leave(user))
        self.tell_people(room)

    def forget(self, room: Room) -> None:
        """Those of processes that have not been heard of for long."""
        self._show(room, room.presence.forget())

    def tell_people(self, room: Room, *, asking: bool = False) -> None:
        """All that are here, so that whoever has missed something knows it again; `asking` for those elsewhere."""
        people = [[str(user.id), user.username] for user in room.presence.here]
        self._tell({"room": str(room.id), "process": self._hub.process, "people": people, "asking": asking})

    def _show(self, room: Room, changes: Changes) -> None:
        for user in changes.joined:
            room.send(frames.presence(user, "joined"))
        for user in changes.left:
            room.send(frames.presence(user, "left"))

    def _tell(self, what: dict[str, object]) -> None:
        self._hub.say(orjson.dumps(what))

    def _heard(self, payload: bytes) -> None:
        try:
            told = orjson.loads(payload)
            room = self._find(UUID(told["room"]))
            if room is None:
                return
            if "text" in told:
                room.send(told["text"])
            else:
                people = [UserRef(id=UUID(id_), username=name) for id_, name in told["people"]]
                self._show(room, room.presence.hear(told["process"], people))
                if told["asking"] and room.presence.here:
                    self.tell_people(room)
        except (ValueError, KeyError, TypeError):
            _log.warning("hub_nonsense")
