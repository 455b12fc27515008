"""The wire shapes of synchronisation."""

from typing import Annotated, Literal
from uuid import UUID

from pydantic import ConfigDict, Field, JsonValue

from doable.core.types import Input, Int31, Output, UuidStr, absent
from doable.lists.schemas import EXAMPLE as LIST_EXAMPLE
from doable.lists.schemas import MEMBER_EXAMPLE, ListResponse, MemberResponse
from doable.todos.events import EVENT_EXAMPLE, EventResponse
from doable.todos.schemas import EXAMPLE as TODO_EXAMPLE
from doable.todos.schemas import TodoResponse

MOST_LISTS = 5_000
LONGEST_CURSOR = 512

GONE_EXAMPLE: dict[str, JsonValue] = {"list_id": LIST_EXAMPLE["id"], "mode": "gone"}
EVENTS_EXAMPLE: dict[str, JsonValue] = {
    "list_id": LIST_EXAMPLE["id"],
    "mode": "events",
    "revision": 5,
    "events": [EVENT_EXAMPLE],
}
SNAPSHOT_EXAMPLE: dict[str, JsonValue] = {
    "list_id": LIST_EXAMPLE["id"],
    "mode": "snapshot",
    "revision": 4,
    "first": True,
    "last": True,
    "list": LIST_EXAMPLE,
    "members": [MEMBER_EXAMPLE],
    "todos": [TODO_EXAMPLE],
}


class SyncRequest(Input):
    """`null` and `{}` where there is no copy yet."""

    epoch: Annotated[
        str | None,
        Field(max_length=64, description="Of the answer before; null: none yet.", examples=["k3v9x2mq"]),
    ] = None
    revisions: Annotated[
        dict[UuidStr, Int31],
        Field(
            max_length=MOST_LISTS,
            description="Each list of which there is a copy, and the revision that was stored for it.",
            examples=[{"0190f5a0-7c3e-7b1a-9d2c-5f6e7a8b9c0d": 4}],
        ),
    ] = absent()
    cursor: Annotated[
        str | None,
        Field(alias="continue", max_length=LONGEST_CURSOR, description="Of the answer before.", examples=[None]),
    ] = None


class EventsDelta(Output):
    """Apply these, then store the revision."""

    model_config = ConfigDict(json_schema_extra={"examples": [EVENTS_EXAMPLE]})

    list_id: UUID
    mode: Literal["events"]
    revision: Annotated[int, Field(description="Of the last of these events.", examples=[5])]
    events: list[EventResponse]


class SnapshotDelta(Output):
    """The list as it is, or a part of it: at `first` drop the copy, store the revision only at `last`."""

    model_config = ConfigDict(json_schema_extra={"examples": [SNAPSHOT_EXAMPLE]})

    list_id: UUID
    mode: Literal["snapshot"]
    revision: Annotated[int, Field(description="Where the list was when the snapshot began.", examples=[4])]
    first: bool
    last: bool
    home: Annotated[ListResponse, Field(alias="list")]
    members: list[MemberResponse]
    todos: list[TodoResponse]


class GoneDelta(Output):
    """Drop the copy: the list is deleted, or is not mine to see."""

    model_config = ConfigDict(json_schema_extra={"examples": [GONE_EXAMPLE]})

    list_id: UUID
    mode: Literal["gone"]


class SyncResponse(Output):
    model_config = ConfigDict(
        json_schema_extra={"examples": [{"epoch": "k3v9x2mq", "deltas": [EVENTS_EXAMPLE], "continue": None}]}
    )

    epoch: Annotated[str, Field(examples=["k3v9x2mq"])]
    deltas: Annotated[
        list[EventsDelta | SnapshotDelta | GoneDelta],
        Field(description="Lists that have not changed are not here. No order among lists."),
    ]
    cursor: Annotated[
        str | None,
        Field(
            alias="continue",
            description="Not null: store what is here, then ask again at once with the new revisions and this.",
            examples=[None],
        ),
    ]
