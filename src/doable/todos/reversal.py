"""What an event has changed of a todo, read backwards: what a request would send to have it as it was."""

from collections.abc import Mapping
from datetime import date, datetime, time
from typing import Any

from doable.core import types
from doable.todos.due import Due
from doable.todos.schemas import TodoUpdate

type Json = Mapping[str, Any]

_DERIVED = {"due": "at", "recurrence": "done"}
"""Members of values that only the server makes."""


def differing(shown: Json, changes: Json) -> list[str]:
    """The fields that are no longer as the event has left them."""
    return [name for name, change in changes.items() if shown[name] != change["to"]]


def wanted(changes: Json) -> dict[str, Any]:
    """As a PATCH has it, after its validation; raises Pydantic's `ValidationError` for what is not valid any more."""
    body = {name: change["from"] for name, change in changes.items() if name in TodoUpdate.model_fields}
    body.pop("completed", None)
    for name, derived in _DERIVED.items():
        if body.get(name) is not None:
            body[name] = {member: value for member, value in body[name].items() if member != derived}
    found = types.changes(TodoUpdate.model_validate(body))
    if "completed_at" in changes:
        at = changes["completed_at"]["from"]
        found["completed"] = at is not None and datetime.fromisoformat(at)
    return found


def due(shown: Json) -> Due:
    at = shown["time"]
    return Due(date.fromisoformat(shown["date"]), at and time.fromisoformat(at), shown["timezone"])


def is_as_before(shown: Json, changes: Json) -> bool:
    """Whether all fields are what they were before the event, but for the count of a recurrence that is set again."""
    return all(_plain(shown[name]) == _plain(change["from"]) for name, change in changes.items())


def _plain(value: object) -> object:
    return {**value, "done": None} if isinstance(value, dict) and "done" in value else value
