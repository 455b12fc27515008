"""What is sent to clients, as text: each event is made into it once, however many there are to read it."""

from collections.abc import Iterable, Mapping
from typing import NamedTuple
from uuid import UUID

import orjson

from doable.accounts.schemas import UserRef
from doable.core import clock
from doable.core.errors import Code
from doable.core.events import EventRow
from doable.lists import shapes

ME = "me"


class Frame(NamedTuple):
    """An event: as JSON, and as the message that carries it to sockets. `kept_at` is when we began to keep it."""

    revision: int
    kind: str
    event: str
    text: str
    kept_at: float

    def server_sent(self, epoch: str) -> str:
        """As Server-Sent Events have it; JSON has no line ends."""
        return f"id: {epoch}:{self.revision}\nevent: {self.kind}\ndata: {self.event}\n\n"


def event(row: EventRow, room: str) -> Frame:
    shown = orjson.dumps(shapes.event(row, personal=room == ME)).decode()
    text = f'{{"type":"event","room":"{room}","event":{shown}}}'
    return Frame(row.revision, row.kind, shown, text, clock.monotonic())


def welcome(
    room: str,
    epoch: str,
    revision: int,
    online: Iterable[UserRef] = (),
    *,
    recovered: bool | None = None,
    streams: Mapping[UUID, int] | None = None,
) -> str:
    return _text(
        {
            "type": "welcome",
            "room": room,
            "epoch": epoch,
            "revision": revision,
            "recovered": recovered,
            "online": [_ref(user) for user in online],
            "streams": None if streams is None else {str(list_id): number for list_id, number in streams.items()},
        }
    )


def caught_up(revision: int) -> str:
    return _text({"type": "caught_up", "revision": revision})


def message(user: UserRef, content: object) -> str:
    return _text({"type": "message", "user": user.username, "user_id": str(user.id), "message": content})


def presence(user: UserRef, state: str) -> str:
    return _text({"type": "presence", "user": _ref(user), "state": state})


def pong(id_: str | int | None) -> str:
    return _text({"type": "pong"} if id_ is None else {"type": "pong", "id": id_})


def error(code: Code, text: str) -> str:
    return _text({"type": "error", "code": code, "message": text})


def _ref(user: UserRef) -> dict[str, str]:
    return {"id": str(user.id), "username": user.username}


def _text(members: Mapping[str, object]) -> str:
    return orjson.dumps(members).decode()
