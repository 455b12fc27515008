"""Facts about accounts; features above react to them in the same transaction (`tx.tell`)."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID


@dataclass(frozen=True, slots=True)
class UserRegistered:
    """The user has an id for an inbox; the inbox itself is the business of lists."""

    user_id: UUID
    username: str
    inbox_id: UUID
    at: datetime


@dataclass(frozen=True, slots=True)
class UserDeleted:
    """Told before anything is taken away: a reaction may refuse by raising."""

    user_id: UUID
    at: datetime
