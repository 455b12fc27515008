"""The wire shapes of lists."""

from typing import Annotated
from uuid import UUID

from pydantic import ConfigDict, Field, JsonValue

from doable.accounts.schemas import UserRef
from doable.core.types import Color, Input, InstantOut, Line, NewUuid, Output, absent

Name = Annotated[str, Line(100, bidi=False), Field(examples=["Groceries"])]


class ListCreate(Input):
    id: Annotated[NewUuid, Field(description="Absent: the server makes one.")] = absent()
    name: Name
    color: Color | None = None


class ListUpdate(Input):
    """What is absent stays as it is; `null` clears the color."""

    name: Name = absent()
    color: Color | None = None
    archived: Annotated[bool, Field(examples=[True])] = absent()


EXAMPLE: dict[str, JsonValue] = {
    "id": "0190f5a0-7c3e-7b1a-9d2c-5f6e7a8b9c0d",
    "name": "Groceries",
    "color": "#1e90ff",
    "is_inbox": False,
    "owner_id": "0190f5a0-6a11-7c0e-8f3b-0d1c2b3a4f5e",
    "role": "owner",
    "archived_at": None,
    "deleted_at": None,
    "created_at": "2026-11-22T08:41:52.123Z",
    "updated_at": "2026-11-22T08:41:52.123Z",
    "version": 1,
}


STATE_EXAMPLE: dict[str, JsonValue] = {name: value for name, value in EXAMPLE.items() if name != "role"}


class ListState(Output):
    """A list as it is for everybody who sees it; so it stands in events."""

    model_config = ConfigDict(json_schema_extra={"examples": [STATE_EXAMPLE]})

    id: UUID
    name: Annotated[str, Field(examples=["Groceries"])]
    color: Annotated[str | None, Field(examples=["#1e90ff"])]
    is_inbox: Annotated[bool, Field(examples=[False])]
    owner_id: UUID
    archived_at: InstantOut | None
    deleted_at: InstantOut | None
    created_at: InstantOut
    updated_at: InstantOut
    version: Annotated[int, Field(examples=[1])]


class ListResponse(ListState):
    model_config = ConfigDict(title="List", json_schema_extra={"examples": [EXAMPLE]})

    role: Annotated[str, Field(description="Yours: `owner`, `editor` or `viewer`.", examples=["owner"])]


MEMBER_EXAMPLE: dict[str, JsonValue] = {
    "user": {"id": "0190f5a0-6a11-7c0e-8f3b-0d1c2b3a4f5e", "username": "ana"},
    "role": "owner",
    "joined_at": "2026-11-22T08:41:52.123Z",
}


class MemberResponse(Output):
    model_config = ConfigDict(title="Member", json_schema_extra={"examples": [MEMBER_EXAMPLE]})

    user: UserRef
    role: Annotated[str, Field(description="`owner`, `editor` or `viewer`.", examples=["owner"])]
    joined_at: InstantOut
