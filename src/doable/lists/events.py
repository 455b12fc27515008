"""What the log says of a list and its members: docs/events.md has an example of each kind."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import orjson
from pydantic import BaseModel, ConfigDict, JsonValue

from doable.core import differences
from doable.core.differences import Changes
from doable.core.events import Event, Operation
from doable.core.types import Output
from doable.lists import shapes
from doable.lists.schemas import MEMBER_EXAMPLE, STATE_EXAMPLE, ListState, MemberResponse
from doable.lists.statements import ListRow
from doable.lists.statements.membership import MemberRow

CHANGE_EXAMPLE: dict[str, JsonValue] = {
    "list": STATE_EXAMPLE,
    "changes": {"name": {"from": "Food", "to": "Groceries"}},
}


class ListChange(Output):
    model_config = ConfigDict(json_schema_extra={"examples": [CHANGE_EXAMPLE]})

    list: ListState
    changes: Changes | None


class MemberChange(Output):
    model_config = ConfigDict(json_schema_extra={"examples": [{"member": MEMBER_EXAMPLE, "changes": None}]})

    member: MemberResponse
    changes: Changes | None


class MemberGone(Output):
    """Also all that is left of older events about somebody whose account is deleted."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"user_id": "0190f5a0-6a11-7c0e-8f3b-0d1c2b3a4f5e"}]})

    user_id: UUID


class NoData(Output):
    """The kind says it all."""


class OwnRole(Output):
    """My role in a list."""

    list_id: UUID
    role: str


class OwnList(Output):
    list_id: UUID


class OwnInvitation(Output):
    invitation_id: UUID


EVENTS: dict[str, type[BaseModel]] = {
    "list.created": ListChange,
    "list.updated": ListChange,
    "list.deleted": NoData,
    "list.restored": ListChange,
    "member.added": MemberChange,
    "member.updated": MemberChange,
    "member.removed": MemberGone,
}
PERSONAL: dict[str, type[BaseModel]] = {
    "list.joined": OwnRole,
    "list.role_changed": OwnRole,
    "list.left": OwnList,
    "invitation.received": OwnInvitation,
}
"""Of a person's own stream, whose id is the user's."""


@dataclass(frozen=True, slots=True)
class MemberJoined:
    """Somebody is in a list from now on; `revision` is that of the list before it."""

    list_id: UUID
    user_id: UUID
    revision: int


@dataclass(frozen=True, slots=True)
class MemberLeft:
    """Somebody leaves a list or is removed. Told before it is written: what comes after it he is never sent."""

    list_id: UUID
    user_id: UUID
    cause: Operation


@dataclass(slots=True)
class ListGoes:
    """A list goes for good: whoever has something in it deletes the `most` at once, and says whether there was any."""

    list_id: UUID
    most: int
    more: bool = False


def created(row: ListRow) -> Event:
    return _event("list.created", {"list": _state(row), "changes": None})


def changed(before: ListRow, after: ListRow) -> Event:
    """One event, whatever has changed: a deletion or its opposite before anything else."""
    if after.deleted_at is not None:
        return deleted()
    state = _state(after)
    kind = "list.updated" if before.deleted_at is None else "list.restored"
    return _event(kind, {"list": state, "changes": differences.between(_state(before), state)})


def deleted() -> Event:
    return _event("list.deleted", {})


def member_added(user_id: UUID, username: str, role: str, joined_at: datetime) -> Event:
    member = shapes.member(user_id, username, role, joined_at).model_dump(mode="json")
    return _event("member.added", {"member": member, "changes": None}, user_id)


def member_updated(before: MemberRow, after: MemberRow) -> Event:
    was, is_now = (
        shapes.member(row.user_id, row.username, row.role, row.joined_at).model_dump(mode="json")
        for row in (before, after)
    )
    changes = differences.between(was, is_now)
    return _event("member.updated", {"member": is_now, "changes": changes}, after.user_id)


def member_removed(user_id: UUID) -> Event:
    return _event("member.removed", {"user_id": str(user_id)}, user_id)


def joined(list_id: UUID, role: str) -> Event:
    return _event("list.joined", {"list_id": str(list_id), "role": role})


def role_changed(list_id: UUID, role: str) -> Event:
    return _event("list.role_changed", {"list_id": str(list_id), "role": role})


def left(list_id: UUID) -> Event:
    return _event("list.left", {"list_id": str(list_id)})


def invited(invitation_id: UUID) -> Event:
    return _event("invitation.received", {"invitation_id": str(invitation_id)})


def nameless(user_id: UUID) -> str:
    """The data of an event about a member whose name is to be forgotten."""
    return orjson.dumps({"user_id": str(user_id)}).decode()


def _state(row: ListRow) -> dict[str, Any]:
    return shapes.shown(row).model_dump(mode="json", exclude={"role"})


def _event(kind: str, data: dict[str, object], subject_id: UUID | None = None) -> Event:
    return Event(kind, orjson.dumps(data).decode(), subject_id)
