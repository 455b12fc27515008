"""The wire shapes of lists."""

from typing import Annotated, Literal, Self
from uuid import UUID

from pydantic import ConfigDict, Field, JsonValue, model_validator
from pydantic_core import PydanticCustomError

from doable.accounts.schemas import UserRef
from doable.core.types import Color, Email, Input, InstantOut, Line, NewUuid, Output, UuidStr, absent

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


TOKEN_EXAMPLE = "dbi_5m0ZPZx2dN7cQ9s1jv0u3lq8o4hS6wTtYb2kXeGfRaI"  # noqa: S105 — nobody has it
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


Role = Annotated[Literal["editor", "viewer"], Field(examples=["editor"])]


class MemberUpdate(Input):
    role: Role


class OwnerUpdate(Input):
    user_id: Annotated[UuidStr, Field(description="A member of the list.")]


class InvitationCreate(Input):
    email: Email
    role: Role


class InvitationChoice(Input):
    """Either of the two: the secret of its link, whoever was sent it, or the id of one to my verified address."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"token": TOKEN_EXAMPLE}], "minProperties": 1, "maxProperties": 1}
    )

    token: Annotated[str, Line(200), Field(examples=[TOKEN_EXAMPLE])] = absent()
    id: UuidStr = absent()

    @model_validator(mode="after")
    def _is_one(self) -> Self:
        if len(self.model_fields_set) != 1:
            raise PydanticCustomError("choice", "Send either token or id.")
        return self


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


class ListRef(Output):
    """A list, as the invited see it."""

    id: Annotated[UUID, Field(examples=["0190f5a0-7c3e-7b1a-9d2c-5f6e7a8b9c0d"])]
    name: Annotated[str, Field(examples=["Groceries"])]


INVITATION_EXAMPLE: dict[str, JsonValue] = {
    "id": "0190f5a3-2b1c-7d4e-9f5a-6b7c8d9e0f1a",
    "list": {"id": "0190f5a0-7c3e-7b1a-9d2c-5f6e7a8b9c0d", "name": "Groceries"},
    "email": "bob@example.com",
    "role": "editor",
    "invited_by": {"id": "0190f5a0-6a11-7c0e-8f3b-0d1c2b3a4f5e", "username": "ana"},
    "status": "pending",
    "created_at": "2026-11-22T08:41:52.123Z",
    "expires_at": "2026-11-29T08:41:52.123Z",
}
CREATED_EXAMPLE: dict[str, JsonValue] = {
    **INVITATION_EXAMPLE,
    "url": f"https://todo.example.com/invitation#token={TOKEN_EXAMPLE}",
}


class InvitationResponse(Output):
    model_config = ConfigDict(title="Invitation", json_schema_extra={"examples": [INVITATION_EXAMPLE]})

    id: UUID
    list: ListRef
    email: Annotated[str, Field(examples=["bob@example.com"])]
    role: Annotated[str, Field(description="`editor` or `viewer`.", examples=["editor"])]
    invited_by: UserRef
    status: Annotated[
        str,
        Field(description="`pending`, `accepted`, `declined`, `revoked` or `expired`.", examples=["pending"]),
    ]
    created_at: InstantOut
    expires_at: InstantOut


class InvitationCreated(InvitationResponse):
    model_config = ConfigDict(title="InvitationCreated", json_schema_extra={"examples": [CREATED_EXAMPLE]})

    url: Annotated[
        str | None,
        Field(description="Shown this once, to whoever may pass it on; null when the invitation was there already."),
    ]
