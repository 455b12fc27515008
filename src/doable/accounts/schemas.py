"""The wire shapes of accounts."""

from typing import Annotated, Literal
from uuid import UUID

from pydantic import AfterValidator, ConfigDict, Field, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError

from doable.accounts.scopes import Scope
from doable.core.types import (
    Email,
    Input,
    InstantIn,
    InstantOut,
    Line,
    NewUuid,
    Output,
    Password,
    PresentedPassword,
    Timezone,
    Username,
    absent,
)


def _unique(values: list[Scope]) -> list[Scope]:
    if len(set(values)) < len(values):
        raise PydanticCustomError("not_unique", "Each scope can be named once only.")
    return values


Id = Annotated[UUID, Field(examples=["0190f5a0-7c3e-7b1a-9d2c-5f6e7a8b9c0d"])]
Secret = Annotated[str, Line(200)]
Scopes = Annotated[list[Scope], Field(min_length=1, max_length=5), AfterValidator(_unique)]


class NewPassword(Input):
    """A password to be set, twice, so that a slip of the finger locks nobody out."""

    password: Password
    confirm_password: PresentedPassword

    @field_validator("confirm_password")
    @classmethod
    def _is_the_same(cls, value: str, info: ValidationInfo) -> str:
        if "password" in info.data and value != info.data["password"]:
            raise PydanticCustomError("password_mismatch", "The two passwords differ.")
        return value


class UserCreate(NewPassword):
    email: Email
    username: Username


class UserUpdate(Input):
    """What an administrator may change of somebody; what is absent stays as it is."""

    is_admin: Annotated[bool, Field(examples=[False])] = absent()
    disabled: Annotated[bool, Field(examples=[True])] = absent()


class ProfileUpdate(Input):
    """What is absent stays as it is. `email` and `current_password` come together; it has to be verified again."""

    username: Username = absent()
    timezone: Timezone = absent()
    email: Email = absent()
    current_password: PresentedPassword = absent()


class PasswordChange(NewPassword):
    current_password: PresentedPassword


class AccountDelete(Input):
    current_password: PresentedPassword


class Login(Input):
    login: Annotated[str, Line(254), Field(description="E-mail address or username.", examples=["ana"])]
    password: PresentedPassword


class RefreshRequest(Input):
    refresh_token: Annotated[Secret, Field(examples=["dbr_…"], repr=False)]


class Logout(Input):
    """The session to end; without it, that of the bearer token ends."""

    refresh_token: Annotated[Secret, Field(examples=["dbr_…"], repr=False)] = absent()


class PasswordResetRequest(Input):
    email: Email


class PasswordReset(NewPassword):
    token: Annotated[Secret, Field(description="From the mail.", examples=["dbm_…"], repr=False)]


class EmailVerification(Input):
    token: Annotated[Secret, Field(description="From the mail.", examples=["dbm_…"], repr=False)]


class ApiTokenCreate(Input):
    id: Annotated[NewUuid, Field(description="Made by the client, if it likes; the server makes one otherwise.")] = (
        absent()
    )
    name: Annotated[str, Line(100), Field(examples=["Backup script"])]
    scopes: Scopes
    expires_at: Annotated[InstantIn, Field(description="In the future; never, when absent.")] = absent()


class UserRef(Output):
    """A person, as others see them."""

    id: Id
    username: Annotated[str, Field(examples=["ana"])]


class UserResponse(Output):
    model_config = ConfigDict(title="User")

    id: Id
    email: Annotated[str, Field(examples=["ana@example.com"])]
    username: Annotated[str, Field(examples=["ana"])]
    email_verified: Annotated[bool, Field(examples=[True])]
    timezone: Annotated[str, Field(examples=["Europe/Zagreb"])]
    is_admin: Annotated[bool, Field(examples=[False])]
    inbox_id: Id
    disabled_at: InstantOut | None
    created_at: InstantOut
    updated_at: InstantOut


class SessionResponse(Output):
    model_config = ConfigDict(title="Session")

    id: Id
    current: Annotated[bool, Field(description="Whether this request was made with it.", examples=[True])]
    user_agent: Annotated[str | None, Field(examples=["curl/8.5.0"])]
    ip: Annotated[str | None, Field(examples=["192.0.2.1"])]
    created_at: InstantOut
    last_used_at: InstantOut
    expires_at: Annotated[InstantOut, Field(description="When it ends unless it is refreshed before.")]


class TokenPair(Output):
    access_token: Annotated[str, Field(examples=["eyJhbGciOiJIUzI1NiIsInR5cCI6ImF0K2p3dCJ9.…"])]
    refresh_token: Annotated[str, Field(examples=["dbr_…"])]
    token_type: Literal["bearer"] = "bearer"  # noqa: S105 — a word of the wire
    expires_in: Annotated[int, Field(description="Seconds that the access token lives.", examples=[1800])]


class TicketResponse(Output):
    model_config = ConfigDict(title="Ticket")

    ticket: Annotated[str, Field(examples=["dbk_…"])]
    expires_in: Annotated[int, Field(description="Seconds that it is good for.", examples=[30])]


class ApiTokenResponse(Output):
    model_config = ConfigDict(title="ApiToken")

    id: Id
    name: Annotated[str, Field(examples=["Backup script"])]
    scopes: Annotated[list[str], Field(examples=[["todos:read"]])]
    expires_at: InstantOut | None
    last_used_at: InstantOut | None
    created_at: InstantOut


class ApiTokenCreated(ApiTokenResponse):
    model_config = ConfigDict(title="ApiTokenCreated")

    token: Annotated[str, Field(description="Shown now and never again.", examples=["dbl_…"])]
