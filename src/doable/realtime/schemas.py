"""The messages of rooms, as docs/rooms.schema.json has them: what `frames` writes, and what is read."""

from typing import Annotated, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from doable.accounts import events as accounts_events
from doable.accounts.schemas import UserRef
from doable.core.types import Input, InstantOut, Output
from doable.lists import events as lists_events
from doable.todos.events import EventResponse

LONGEST_ID = 100


class Welcome(Output):
    """The first message, always."""

    type: Literal["welcome"]
    room: Annotated[str, Field(description="The list's id, or `me`.")]
    epoch: str
    revision: Annotated[int | None, Field(description="Live begins after this one.")]
    recovered: Annotated[
        bool | None,
        Field(description="`true`: all that came after `since` follows. `false`: it cannot. `null`: nobody asked."),
    ]
    online: Annotated[list[UserRef], Field(description="Who is in the room, each person once. Empty in `me`.")]
    streams: Annotated[
        dict[UUID, int] | None, Field(description="In `me`: each of my lists, and after which revision live begins.")
    ]


class PersonalEvent(Output):
    """What has happened to the person whose room it is."""

    list_id: None
    revision: int
    operation_id: UUID
    at: InstantOut
    actor_id: UUID | None
    kind: Annotated[str, Field(json_schema_extra={"enum": [*accounts_events.PERSONAL, *lists_events.PERSONAL]})]
    data: dict[str, JsonValue]


class EventMessage(Output):
    type: Literal["event"]
    room: Annotated[str, Field(description="The list's id; `me` for what happens to the person.")]
    event: EventResponse | PersonalEvent


class CaughtUp(Output):
    """The replay is over: what follows is live."""

    type: Literal["caught_up"]
    revision: int


class Spoken(Output):
    """What somebody in the room has said; to everybody in it, the speaker too. It is kept nowhere."""

    model_config = ConfigDict(title="Message")

    type: Literal["message"]
    user: Annotated[str, Field(description="The speaker's name.")]
    user_id: UUID
    message: JsonValue


class PresenceMessage(Output):
    """Somebody's first connection has come, or his last has gone."""

    model_config = ConfigDict(title="Presence")

    type: Literal["presence"]
    user: UserRef
    state: Literal["joined", "left"]


class Pong(Output):
    """`id` is there if the ping had one."""

    type: Literal["pong"]
    id: str | int = ""


class ErrorMessage(Output):
    """What the client sent has had no effect. The connection stays open."""

    model_config = ConfigDict(title="Error")

    type: Literal["error"]
    code: Annotated[str, Field(description="One of the codes that HTTP answers have.")]
    message: str


class Ping(Input):
    """To see whether the server is there, from where WebSocket pings cannot be sent."""

    type: Literal["ping"]
    id: Annotated[str, Field(max_length=LONGEST_ID)] | int | None = None


class Say(Input):
    """Tell everybody in the room. JSON that has no `type` is the message as a whole."""

    type: Literal["message"]
    message: JsonValue


SERVER: dict[str, type[BaseModel]] = {
    "welcome": Welcome,
    "event": EventMessage,
    "caught_up": CaughtUp,
    "message": Spoken,
    "presence": PresenceMessage,
    "pong": Pong,
    "error": ErrorMessage,
}
CLIENT: dict[str, type[BaseModel]] = {"ping": Ping, "message": Say}
