"""What accounts tell: facts to features above, in the same transaction (`tx.tell`), and events to the person's log."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from pydantic import BaseModel

from doable.core.events import Event, Operation
from doable.core.types import Output


class UserChange(Output):
    """The kind says it all."""


PERSONAL: dict[str, type[BaseModel]] = {"user.updated": UserChange}
"""Of a person's own stream, whose id is the user's."""


def updated() -> Event:
    return Event("user.updated", "{}")


@dataclass(frozen=True, slots=True)
class UserRegistered:
    """The user has an id for an inbox; the inbox itself is the business of lists."""

    user_id: UUID
    username: str
    inbox_id: UUID
    at: datetime


@dataclass(slots=True)
class RegistrationAsked:
    """Somebody would like to register where only invited people may: whoever knows of an invitation says so."""

    email: str
    invited: bool = False


@dataclass(frozen=True, slots=True)
class UserRenamed:
    """Told before it is written. A reaction that writes to streams locks the user's own with them: it is next."""

    user_id: UUID
    before: str
    after: str
    cause: Operation


@dataclass(frozen=True, slots=True)
class TimezoneChanged:
    """The account is locked."""

    user_id: UUID
    before: str
    timezone: str


@dataclass(frozen=True, slots=True)
class UserDeleted:
    """Told before anything is taken away: a reaction may refuse by raising. The user's own stream goes as well."""

    user_id: UUID
    cause: Operation
