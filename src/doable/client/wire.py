"""What the server sends, as types: JSON stays the dictionary that it is."""

import re
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, Self, TypedDict

_POSITION = re.compile(r"([a-z0-9]{8,16})[:.]([0-9]{1,18})")


class UserRef(TypedDict):
    id: str
    username: str


class Member(TypedDict):
    user: UserRef
    role: Literal["owner", "editor", "viewer"]
    joined_at: str


class TodoList(TypedDict, total=False):
    """In events without `role`, which is the reader's own."""

    id: str
    name: str
    color: str | None
    is_inbox: bool
    owner_id: str
    role: Literal["owner", "editor", "viewer"]
    archived_at: str | None
    deleted_at: str | None
    created_at: str
    updated_at: str
    version: int


class Todo(TypedDict):
    id: str
    list_id: str
    parent_id: str | None
    position: str
    title: str
    description: str | None
    priority: int
    completed: bool
    completed_at: str | None
    due: dict[str, Any] | None
    recurrence: dict[str, Any] | None
    labels: list[str]
    assignee_id: str | None
    created_by: str
    created_at: str
    updated_at: str
    deleted_at: str | None
    version: int


class Event(TypedDict):
    list_id: str
    revision: int
    operation_id: str
    at: str
    actor_id: str | None
    kind: str
    data: dict[str, Any]


class Position(NamedTuple):
    """A place in the log of a list. Revision 0 is before everything."""

    epoch: str
    revision: int

    def __str__(self) -> str:
        return f"{self.epoch}:{self.revision}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """From `EPOCH:REVISION`, or from the ETag of a list's todos, whatever a proxy has put around it."""
        found = _POSITION.search(text)
        if found is None:
            message = f"{text!r} is no position"
            raise ValueError(message)
        return cls(found[1], int(found[2]))


@dataclass(frozen=True, slots=True)
class Change:
    """One event, and where one is after it."""

    position: Position
    event: Event


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A whole list. What has happened after `position` may be in it already, and comes as changes none the less."""

    position: Position
    home: TodoList
    members: list[Member]
    todos: list[Todo]
