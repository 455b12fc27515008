"""What the log says of a list and its members: docs/events.md has an example of each kind."""

from datetime import datetime
from typing import Any
from uuid import UUID

import orjson
from pydantic import BaseModel, ConfigDict, JsonValue

from doable.core import differences
from doable.core.differences import Changes
from doable.core.events import Event
from doable.core.types import Output
from doable.lists import shapes
from doable.lists.schemas import MEMBER_EXAMPLE, STATE_EXAMPLE, ListState, MemberResponse
from doable.lists.statements import ListRow

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


class NoData(Output):
    """The kind says it all."""


EVENTS: dict[str, type[BaseModel]] = {
    "list.created": ListChange,
    "list.updated": ListChange,
    "list.deleted": NoData,
    "list.restored": ListChange,
    "member.added": MemberChange,
}


def created(row: ListRow) -> Event:
    return _event("list.created", {"list": _state(row), "changes": None})


def changed(before: ListRow, after: ListRow) -> Event:
    """One event, whatever has changed: a deletion or its opposite before anything else."""
    if after.deleted_at is not None:
        return _event("list.deleted", {})
    state = _state(after)
    kind = "list.updated" if before.deleted_at is None else "list.restored"
    return _event(kind, {"list": state, "changes": differences.between(_state(before), state)})


def member_added(user_id: UUID, username: str, role: str, joined_at: datetime) -> Event:
    member = shapes.member(user_id, username, role, joined_at).model_dump(mode="json")
    return _event("member.added", {"member": member, "changes": None})


def _state(row: ListRow) -> dict[str, Any]:
    return shapes.shown(row).model_dump(mode="json", exclude={"role"})


def _event(kind: str, data: dict[str, object]) -> Event:
    return Event(kind, orjson.dumps(data).decode())
