"""What the log says of a todo, and the shape of every event of a list: docs/events.md has an example of each kind."""

from typing import Annotated
from uuid import UUID

import orjson
from pydantic import BaseModel, ConfigDict, Field, JsonValue

from doable.core import differences
from doable.core.differences import Changes
from doable.core.events import Event
from doable.core.types import InstantOut, Output
from doable.lists import events as lists_events
from doable.lists.events import ListChange, MemberChange, MemberGone, NoData
from doable.todos import due as dues
from doable.todos import shapes
from doable.todos.schemas import EXAMPLE, Due, TodoResponse
from doable.todos.statements import TodoRow


def _due(date: str) -> dict[str, JsonValue]:
    return {"date": date, "time": None, "timezone": None, "at": None}


def _weekly(done: int) -> dict[str, JsonValue]:
    return {"rule": "FREQ=WEEKLY", "basis": "due", "done": done}


CHANGE_EXAMPLE: dict[str, JsonValue] = {"todo": EXAMPLE, "changes": {"title": {"from": "Buy mlk", "to": "Buy milk"}}}
ROLLED_EXAMPLE: dict[str, JsonValue] = {
    "todo": {**EXAMPLE, "due": _due("2026-11-30"), "recurrence": _weekly(1)},
    "changes": {
        "due": {"from": _due("2026-11-23"), "to": _due("2026-11-30")},
        "recurrence": {"from": _weekly(0), "to": _weekly(1)},
    },
    "occurrence": _due("2026-11-23"),
}
EVENT_EXAMPLE: dict[str, JsonValue] = {
    "list_id": "0190f5a0-7c3e-7b1a-9d2c-5f6e7a8b9c0d",
    "revision": 5,
    "operation_id": "0190f5a2-3c4d-7e5f-8a6b-7c8d9e0f1a2b",
    "at": "2026-11-22T08:41:52.123Z",
    "actor_id": "0190f5a0-6a11-7c0e-8f3b-0d1c2b3a4f5e",
    "kind": "todo.updated",
    "data": CHANGE_EXAMPLE,
}


class TodoWhole(Output):
    model_config = ConfigDict(json_schema_extra={"examples": [{"todo": EXAMPLE}]})

    todo: TodoResponse


class TodoChange(Output):
    model_config = ConfigDict(json_schema_extra={"examples": [CHANGE_EXAMPLE]})

    todo: TodoResponse
    changes: Changes


class TodoRolled(TodoChange):
    """A recurring todo is done once more, and due again."""

    model_config = ConfigDict(json_schema_extra={"examples": [ROLLED_EXAMPLE]})

    occurrence: Annotated[Due, Field(description="What has been done.")]


class TodoGone(Output):
    model_config = ConfigDict(json_schema_extra={"examples": [{"todo_id": EXAMPLE["id"]}]})

    todo_id: UUID


EVENTS: dict[str, type[BaseModel]] = {
    "todo.created": TodoWhole,
    "todo.updated": TodoChange,
    "todo.completed": TodoChange,
    "todo.reopened": TodoChange,
    "todo.rolled": TodoRolled,
    "todo.moved": TodoChange,
    "todo.arrived": TodoWhole,
    "todo.departed": TodoGone,
    "todo.deleted": TodoGone,
    "todo.restored": TodoWhole,
    "todo.purged": TodoGone,
}


class EventResponse(Output):
    """What has happened, once, in a list. Apply the events of a list in their order and you have what is in it."""

    model_config = ConfigDict(title="Event", json_schema_extra={"examples": [EVENT_EXAMPLE]})

    list_id: UUID
    revision: int
    operation_id: Annotated[
        UUID, Field(description="The same for all that one operation has made happen: a request, or one of a batch.")
    ]
    at: InstantOut
    actor_id: Annotated[UUID | None, Field(description="Who did it; null: the server.")]
    kind: Annotated[
        str,
        Field(
            description="Says what `data` is. There will be more kinds: ignore those that you do not know.",
            json_schema_extra={"enum": [*EVENTS, *lists_events.EVENTS]},
        ),
    ]
    data: TodoChange | TodoRolled | TodoWhole | TodoGone | ListChange | MemberChange | MemberGone | NoData


def created(row: TodoRow, text: bytes | None = None) -> Event:
    """`text`: what `shapes.text` has made of it."""
    return _whole("todo.created", row, text)


def changed(before: TodoRow, after: TodoRow, occurrence: dues.Due | None = None) -> Event:
    """One event, whatever has changed: into the trash or out of it, then completion, place, and anything else.

    `occurrence` is what a recurring todo has completed; it has rolled if it is open all the same.
    """
    if after.deleted_at is not None:
        return _gone("todo.deleted", after.id)
    if before.deleted_at is not None:
        return _whole("todo.restored", after)
    return _compared(before, after, occurrence)[0]


def edited(before: TodoRow, after: TodoRow) -> tuple[Event, bytes]:
    """`changed`, where nothing is in the trash and nothing is completed; and what `shapes.text` makes of `after`."""
    return _compared(before, after, None)


def arrived(row: TodoRow) -> Event:
    return _whole("todo.arrived", row)


def departed(todo_id: UUID) -> Event:
    """It does not say where to: whoever sees this may not see the other list."""
    return _gone("todo.departed", todo_id)


def purged(todo_id: UUID) -> Event:
    return _gone("todo.purged", todo_id)


def emptied(todo_id: UUID) -> str:
    """What is left of the data of its events when a todo is purged."""
    return purged(todo_id).data


def _compared(before: TodoRow, after: TodoRow, occurrence: dues.Due | None) -> tuple[Event, bytes]:
    kind = "todo.updated"
    if before.completed_at != after.completed_at:
        kind = "todo.reopened" if after.completed_at is None else "todo.completed"
    elif (before.parent_id, before.position) != (after.parent_id, after.position):
        kind = "todo.moved"
    was, is_now = shapes.wire(before), shapes.wire(after)
    text = orjson.dumps(is_now)
    data: dict[str, object] = {"todo": orjson.Fragment(text), "changes": differences.between(was, is_now)}
    if occurrence is not None and after.completed_at is None:
        kind, data["occurrence"] = "todo.rolled", shapes.due(occurrence).model_dump(mode="json")
    return _event(kind, after.id, data), text


def _whole(kind: str, row: TodoRow, text: bytes | None = None) -> Event:
    return Event(kind, f'{{"todo":{(text or shapes.text(row)).decode()}}}', row.id)


def _gone(kind: str, todo_id: UUID) -> Event:
    return _event(kind, todo_id, {"todo_id": str(todo_id)})


def _event(kind: str, todo_id: UUID, data: dict[str, object]) -> Event:
    return Event(kind, orjson.dumps(data).decode(), todo_id)
