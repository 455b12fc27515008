"""The wire shapes of reminders."""

from typing import Annotated, Self
from uuid import UUID

from pydantic import AfterValidator, ConfigDict, Field, JsonValue, WithJsonSchema, model_validator
from pydantic_core import PydanticCustomError

from doable.core.types import Input, InstantIn, InstantOut, Output, absent
from doable.todos import reminding

FARTHEST = 60 * 24 * 366


def _channel(value: str) -> str:
    if value not in reminding.CHANNELS:
        raise PydanticCustomError("channel", "There is no such channel.")
    return value


Channel = Annotated[str, AfterValidator(_channel), WithJsonSchema({"type": "string", "enum": [*reminding.CHANNELS]})]
Channels = Annotated[
    list[Channel],
    Field(
        min_length=1,
        max_length=len(reminding.CHANNELS),
        description="`email`: to my proved address; `room`: a message of mine to everybody in the list's room; "
        "`webhook`: to my webhooks. Absent: `email`.",
        examples=[["email"]],
    ),
]


class ReminderCreate(Input):
    """Either of the two: an instant, or minutes from the due, negative before it."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"offset_minutes": -30}]})

    at: Annotated[InstantIn, Field(description="Fires once, whatever is due.")] = absent()
    offset_minutes: Annotated[
        int,
        Field(
            ge=-FARTHEST,
            le=FARTHEST,
            description="From the due; a date counts as 09:00, and what has no zone is in mine.",
            examples=[-30],
        ),
    ] = absent()
    channels: Channels = absent()

    @model_validator(mode="after")
    def _is_one(self) -> Self:
        if len(self.model_fields_set & {"at", "offset_minutes"}) != 1:
            raise PydanticCustomError("choice", "Send either at or offset_minutes.")
        return self


EXAMPLE: dict[str, JsonValue] = {
    "id": "0190f5a6-5a6b-7c7d-8e8f-9a0b1c2d3e4f",
    "todo_id": "0190f5a1-3d2e-7c4b-9a5f-6b7c8d9e0f1a",
    "at": None,
    "offset_minutes": -30,
    "channels": ["email"],
    "fires_at": "2026-11-22T08:30:00.000Z",
    "fired_at": None,
}


class ReminderResponse(Output):
    model_config = ConfigDict(title="Reminder", json_schema_extra={"examples": [EXAMPLE]})

    id: UUID
    todo_id: UUID
    at: InstantOut | None
    offset_minutes: Annotated[int | None, Field(examples=[-30])]
    channels: Annotated[list[str], Field(examples=[["email"]])]
    fires_at: Annotated[
        InstantOut | None,
        Field(description="Null while there is nothing to be reminded of: no due, completed, in the trash."),
    ]
    fired_at: Annotated[
        InstantOut | None,
        Field(description="Null with a `fires_at` that has passed: the server was away for more than a day."),
    ]
