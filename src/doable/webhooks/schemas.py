"""The wire shapes of webhooks and deliveries."""

from typing import Annotated, Literal
from uuid import UUID

from pydantic import AfterValidator, ConfigDict, Field, JsonValue, WithJsonSchema
from pydantic_core import PydanticCustomError

from doable.core.outbound import LONGEST_URL
from doable.core.types import Input, InstantOut, Line, NewUuid, Output, UuidStr, absent
from doable.lists.events import EVENTS as OF_LISTS
from doable.todos.events import EVENTS as OF_TODOS

PING, REMINDER = "ping", "reminder"
KINDS = (*OF_TODOS, *OF_LISTS, REMINDER)


def _kind(value: str) -> str:
    if value not in KINDS:
        raise PydanticCustomError("event_kind", "There are no events of this kind.")
    return value


Kind = Annotated[str, AfterValidator(_kind), WithJsonSchema({"type": "string", "enum": [*KINDS]})]
Kinds = Annotated[
    list[Kind],
    Field(
        min_length=1, max_length=len(KINDS), description="Kinds of events; `null`: all.", examples=[["todo.completed"]]
    ),
]
Url = Annotated[
    str,
    Line(LONGEST_URL),
    Field(description="Where to send to, by https.", examples=["https://home.example.com/hooks/todo"]),
]


class WebhookCreate(Input):
    id: Annotated[NewUuid, Field(description="Absent: the server makes one.")] = absent()
    list_id: Annotated[UuidStr | None, Field(description="A list of mine; `null`: every list that I am in.")] = None
    url: Url
    kinds: Kinds | None = None


class WebhookUpdate(Input):
    """What is absent stays as it is; `kinds: null` wants all."""

    url: Url = absent()
    kinds: Kinds | None = None
    status: Annotated[
        Literal["active", "paused"],
        Field(description="`active` also takes up one that was disabled.", examples=["active"]),
    ] = absent()


EXAMPLE: dict[str, JsonValue] = {
    "id": "0190f5a4-1d2e-7f3a-8b4c-5d6e7f8a9b0c",
    "list_id": "0190f5a0-7c3e-7b1a-9d2c-5f6e7a8b9c0d",
    "url": "https://home.example.com/hooks/todo",
    "kinds": ["todo.completed"],
    "status": "active",
    "created_at": "2026-11-22T08:41:52.123Z",
    "updated_at": "2026-11-22T08:41:52.123Z",
}
SECRET_EXAMPLE = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oDE5qZrHqT6Yc="  # noqa: S105 — nobody has it


class WebhookResponse(Output):
    model_config = ConfigDict(title="Webhook", json_schema_extra={"examples": [EXAMPLE]})

    id: UUID
    list_id: Annotated[UUID | None, Field(description="Null: every list that its maker is in.")]
    url: Annotated[str, Field(examples=["https://home.example.com/hooks/todo"])]
    kinds: Annotated[list[str] | None, Field(description="Null: all.", examples=[["todo.completed"]])]
    status: Annotated[
        str,
        Field(
            description="`active`; `paused`, by hand or after three days without success; `disabled`, after a 410.",
            examples=["active"],
        ),
    ]
    created_at: InstantOut
    updated_at: InstantOut


class WebhookSecret(WebhookResponse):
    model_config = ConfigDict(
        title="WebhookSecret", json_schema_extra={"examples": [{**EXAMPLE, "secret": SECRET_EXAMPLE}]}
    )

    secret: Annotated[
        str, Field(description="What requests are signed with. Shown this once.", examples=[SECRET_EXAMPLE])
    ]


DELIVERY_EXAMPLE: dict[str, JsonValue] = {
    "id": "0190f5a5-3e4f-7a5b-9c6d-7e8f9a0b1c2d",
    "webhook_id": "0190f5a4-1d2e-7f3a-8b4c-5d6e7f8a9b0c",
    "kind": "todo.completed",
    "list_id": "0190f5a0-7c3e-7b1a-9d2c-5f6e7a8b9c0d",
    "revision": 17,
    "status": "delivered",
    "attempts": 1,
    "response_status": 204,
    "next_attempt_at": None,
    "created_at": "2026-11-22T08:41:52.123Z",
}


class DeliveryResponse(Output):
    model_config = ConfigDict(title="Delivery", json_schema_extra={"examples": [DELIVERY_EXAMPLE]})

    id: Annotated[UUID, Field(description="The `webhook-id` of every attempt.")]
    webhook_id: UUID
    kind: Annotated[str, Field(description="That of the event, `reminder` or `ping`.", examples=["todo.completed"])]
    list_id: Annotated[UUID | None, Field(description="Null where it is about no event.")]
    revision: Annotated[int | None, Field(description="That of the event in its list.", examples=[17])]
    status: Annotated[
        str,
        Field(
            description="`pending`; `delivered`; `failed`, it will be tried again; `dead`, it will not.",
            examples=["delivered"],
        ),
    ]
    attempts: Annotated[int, Field(examples=[1])]
    response_status: Annotated[
        int | None, Field(description="Of the last answer; null if there was none.", examples=[204])
    ]
    next_attempt_at: InstantOut | None
    created_at: InstantOut
