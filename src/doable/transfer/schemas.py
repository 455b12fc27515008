"""The wire shapes of a file, as it is written and as it is read, and of what became of one."""

from typing import Annotated, Literal, Self
from uuid import UUID

from pydantic import ConfigDict, Field, JsonValue, model_validator
from pydantic_core import PydanticCustomError

from doable.core.types import Color, DateIn, Input, InstantIn, InstantOut, Int31, NewUuid, Output, UuidStr
from doable.lists.schemas import EXAMPLE as LIST_EXAMPLE
from doable.lists.schemas import ListResponse, Name
from doable.todos.schemas import EXAMPLE as TODO_EXAMPLE
from doable.todos.schemas import (
    Description,
    DueInput,
    Labels,
    OccurrenceResponse,
    Priority,
    RecurrenceInput,
    Title,
    TodoResponse,
)

FORMAT = "doable"
VERSION = 1
MOST_TIMES = 1_000_000
"""How often a todo of a file may have recurred; the columns that count on from there end at 2^31."""

WHOLE_EXAMPLE: dict[str, JsonValue] = {**TODO_EXAMPLE, "anchor": None, "deleted_with": None}
HISTORY_EXAMPLE: dict[str, JsonValue] = {
    "todo_id": TODO_EXAMPLE["id"],
    "number": 1,
    "due": {"date": "2026-11-22", "time": "14:30", "timezone": None, "at": None},
    "completed_at": "2026-11-22T08:41:52.123Z",
    "completed_by": TODO_EXAMPLE["created_by"],
}
FILE_EXAMPLE: dict[str, JsonValue] = {
    "format": FORMAT,
    "version": VERSION,
    "exported_at": "2026-11-22T08:41:52.123Z",
    "lists": [LIST_EXAMPLE],
    "todos": [WHOLE_EXAMPLE],
    "occurrences": [HISTORY_EXAMPLE],
}


class WholeTodo(TodoResponse):
    """A todo with what only its server needs."""

    model_config = ConfigDict(title="WholeTodo", json_schema_extra={"examples": [WHOLE_EXAMPLE]})

    anchor: Annotated[str | None, Field(description="The date that COUNT and INTERVAL run from.")]
    deleted_with: Annotated[UUID | None, Field(description="The todo whose deletion took this one along, or itself.")]


class WholeOccurrence(OccurrenceResponse):
    model_config = ConfigDict(title="WholeOccurrence", json_schema_extra={"examples": [HISTORY_EXAMPLE]})

    todo_id: UUID
    number: Annotated[int, Field(description="Counts the occurrences of a todo from 1.", examples=[1])]


class TransferFile(Output):
    """All that a person sees: lists first, whoever is above before what is below, siblings in their order."""

    model_config = ConfigDict(json_schema_extra={"examples": [FILE_EXAMPLE]})

    format: Literal["doable"]
    version: Literal[1]
    exported_at: InstantOut
    lists: list[ListResponse]
    todos: list[WholeTodo]
    occurrences: list[WholeOccurrence]


class _Element(Input):
    """A part of a file. What is not known here was said by the server that wrote it, and is not needed."""

    model_config = ConfigDict(extra="ignore")


class ListElement(_Element):
    id: NewUuid
    name: Name
    color: Color | None = None
    is_inbox: bool = False
    archived_at: InstantIn | None = None


class DueElement(DueInput):
    model_config = ConfigDict(extra="ignore")


class RecurrenceElement(RecurrenceInput):
    model_config = ConfigDict(extra="ignore")

    done: Annotated[Int31, Field(le=MOST_TIMES)] = 0


class TodoElement(_Element):
    id: NewUuid
    list_id: UuidStr
    parent_id: UuidStr | None = None
    title: Title
    description: Description = None
    priority: Priority = 3
    completed_at: InstantIn | None = None
    due: DueElement | None = None
    recurrence: RecurrenceElement | None = None
    labels: Annotated[Labels, Field(default_factory=list)]
    created_at: InstantIn | None = None
    deleted_at: InstantIn | None = None
    anchor: DateIn | None = None
    deleted_with: UuidStr | None = None

    @model_validator(mode="after")
    def _recurs_from_its_due(self) -> Self:
        if self.recurrence is not None and self.due is None:
            raise PydanticCustomError("recurrence", "What recurs needs a due date.")
        return self


class OccurrenceElement(_Element):
    todo_id: UuidStr
    number: Annotated[Int31, Field(ge=1, le=MOST_TIMES)]
    due: DueElement
    completed_at: InstantIn


class ImportFault(Output):
    """What of a file has not come in as it was, and why."""

    kind: Annotated[str, Field(description="`lists`, `todos` or `occurrences`.", examples=["todos"])]
    id: Annotated[str | None, Field(description="Its id in the file.", examples=[TODO_EXAMPLE["id"]])]
    message: Annotated[str, Field(examples=["title: String should have at most 200 characters"])]


IMPORT_EXAMPLE: dict[str, JsonValue] = {
    "id": "0190f5a4-5d6e-7f80-9a1b-2c3d4e5f6071",
    "status": "running",
    "parts": 12,
    "applied": 5,
    "created": 903,
    "present": 0,
    "refused": 1,
    "errors": [
        {"kind": "todos", "id": TODO_EXAMPLE["id"], "message": "title: String should have at most 200 characters"}
    ],
    "created_at": "2026-11-22T08:41:52.123Z",
    "finished_at": None,
}


class ImportResponse(Output):
    model_config = ConfigDict(title="Import", json_schema_extra={"examples": [IMPORT_EXAMPLE]})

    id: UUID
    status: Annotated[str, Field(description="`pending`, `running`, `done` or `failed`.", examples=["running"])]
    parts: Annotated[int, Field(description="What the file was cut into.", examples=[12])]
    applied: Annotated[int, Field(description="Parts that are in.", examples=[5])]
    created: Annotated[int, Field(description="Lists and todos that came in.", examples=[903])]
    present: Annotated[int, Field(description="Lists and todos that were there already.", examples=[0])]
    refused: Annotated[int, Field(description="What could not come in.", examples=[1])]
    errors: Annotated[list[ImportFault], Field(description="The first hundred.")]
    created_at: InstantOut
    finished_at: InstantOut | None
