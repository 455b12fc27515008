"""The wire shapes of todos."""

from typing import Annotated, Literal, Self
from uuid import UUID

from pydantic import AfterValidator, ConfigDict, Field, JsonValue, Strict, model_validator
from pydantic_core import PydanticCustomError

from doable.core.types import (
    DateIn,
    Input,
    InstantIn,
    InstantOut,
    Int31,
    Line,
    NewUuid,
    Note,
    Output,
    TimeIn,
    Timezone,
    UuidStr,
    absent,
)
from doable.todos import rrule, search
from doable.todos.due import LAST_DAY

Title = Annotated[str, Line(200), Field(examples=["Buy milk"])]
Description = Annotated[Annotated[str, Note(1000)] | None, Field(examples=["Two litres, the one with the blue cap."])]


def _label(value: str) -> str:
    if "," in value:
        raise PydanticCustomError("comma", "A label has no comma, which separates labels in a query.")
    return value


def _labels(values: list[str]) -> list[str]:
    if len(set(map(search.label_term, values))) < len(values):
        raise PydanticCustomError("twice", "A todo has each label once, whatever its case.")
    return values


Label = Annotated[str, Line(50, bidi=False), AfterValidator(_label), Field(examples=["home"])]
Labels = Annotated[
    list[Label], Field(max_length=20, description="Replaced as a whole.", examples=[["home"]]), AfterValidator(_labels)
]
AssigneeId = Annotated[UuidStr | None, Field(description="A member of the list; null: nobody.")]
Priority = Annotated[Int31, Field(ge=1, le=5, description="1 is the most urgent.", examples=[3])]


def _rule(value: str) -> str:
    try:
        return rrule.written(rrule.parse(value))
    except ValueError as error:
        raise PydanticCustomError("rule", "{reason}", {"reason": str(error)}) from None


Rule = Annotated[
    str,
    Strict(),
    AfterValidator(_rule),
    Field(
        description="FREQ, INTERVAL, COUNT, UNTIL, BYMONTH, BYMONTHDAY, BYDAY, BYSETPOS and WKST of RFC 5545's RRULE.",
        examples=["FREQ=WEEKLY;BYDAY=MO"],
    ),
]
Basis = Literal["due", "completion"]


class DueInput(Input):
    """A date; with a time, a local time wherever you are; with a time and a zone, an instant."""

    date: DateIn
    time: TimeIn | None = None
    timezone: Timezone | None = None

    @model_validator(mode="after")
    def _is_one(self) -> Self:
        if self.timezone is not None and self.time is None:
            raise PydanticCustomError("due", "A time zone needs a time.")
        if self.timezone is not None and self.date > LAST_DAY:
            raise PydanticCustomError("due", "The last day in a time zone is {last}.", {"last": LAST_DAY.isoformat()})
        return self


class RecurrenceInput(Input):
    rule: Rule
    basis: Annotated[Basis, Field(description="What the next one is counted from.")] = "due"


class TodoPut(Input):
    list_id: Annotated[UuidStr, Field(description="Absent: the list of the todo above, or my inbox.")] = absent()
    parent_id: Annotated[UuidStr | None, Field(description="The todo above, in the same list.")] = None
    title: Title
    description: Description = None
    priority: Priority = 3
    labels: Annotated[Labels, Field(default_factory=list)]
    assignee_id: AssigneeId = None
    due: DueInput | None = None
    recurrence: Annotated[RecurrenceInput | None, Field(description="Needs a due.")] = None

    @model_validator(mode="after")
    def _recurs_from_its_due(self) -> Self:
        if self.recurrence is not None and self.due is None:
            raise PydanticCustomError("recurrence", "What recurs needs a due date.")
        return self


class TodoCreate(TodoPut):
    id: Annotated[NewUuid, Field(description="Absent: the server makes one.")] = absent()


class TodoUpdate(Input):
    """What is absent stays as it is; `null` clears. `due` and `recurrence` are replaced as a whole."""

    title: Title = absent()
    description: Description = None
    priority: Priority = absent()
    labels: Labels = absent()
    assignee_id: AssigneeId = None
    due: DueInput | None = None
    recurrence: Annotated[RecurrenceInput | None, Field(description="Needs a due, which counts as the first.")] = None
    completed: Annotated[bool, Field(examples=[True])] = absent()


class TodoPlace(Input):
    """Where a todo goes, with all below it: right before a sibling, right after one, or behind all of them."""

    list_id: Annotated[UuidStr, Field(description="Absent: the list where it is.")] = absent()
    parent_id: Annotated[
        UuidStr | None,
        Field(description="Null: at the top. Absent: as it is, at the top of another list."),
    ] = None
    before: Annotated[UuidStr, Field(description="A sibling at the new place.")] = absent()
    after: Annotated[UuidStr, Field(description="A sibling at the new place; not with `before`.")] = absent()


class Completion(Input):
    occurrence: Annotated[
        DateIn,
        Field(
            description="The date of the due that was seen: only if it is still this one, a recurring todo moves on."
        ),
    ] = absent()
    completed_at: Annotated[InstantIn, Field(description="Absent: now.")] = absent()


class Due(Output):
    date: Annotated[str, Field(examples=["2026-11-22"])]
    time: Annotated[str | None, Field(examples=["14:30"])]
    timezone: Annotated[str | None, Field(examples=["Europe/Zagreb"])]
    at: InstantOut | None


class Recurrence(Output):
    rule: Annotated[str, Field(examples=["FREQ=WEEKLY;BYDAY=MO"])]
    basis: Basis
    done: Annotated[int, Field(description="Times, since rule or due were set.", examples=[0])]


EXAMPLE: dict[str, JsonValue] = {
    "id": "0190f5a1-0b7d-7e52-a1c4-6d5e4f3a2b1c",
    "list_id": "0190f5a0-7c3e-7b1a-9d2c-5f6e7a8b9c0d",
    "parent_id": None,
    "position": "a4",
    "title": "Buy milk",
    "description": "Two litres, the one with the blue cap.",
    "priority": 3,
    "completed": False,
    "completed_at": None,
    "due": None,
    "recurrence": None,
    "labels": [],
    "assignee_id": None,
    "created_by": "0190f5a0-6a11-7c0e-8f3b-0d1c2b3a4f5e",
    "created_at": "2026-11-22T08:41:52.123Z",
    "updated_at": "2026-11-22T08:41:52.123Z",
    "deleted_at": None,
    "version": 1,
}


class TodoResponse(Output):
    model_config = ConfigDict(title="Todo", json_schema_extra={"examples": [EXAMPLE]})

    id: UUID
    list_id: UUID
    parent_id: UUID | None
    position: Annotated[str, Field(description="Compares by bytes; sort by it, never make one.", examples=["a4"])]
    title: Annotated[str, Field(examples=["Buy milk"])]
    description: Annotated[str | None, Field(examples=["Two litres, the one with the blue cap."])]
    priority: Annotated[int, Field(examples=[3])]
    completed: Annotated[bool, Field(examples=[False])]
    completed_at: InstantOut | None
    due: Due | None
    recurrence: Recurrence | None
    labels: Annotated[list[str], Field(examples=[["home"]])]
    assignee_id: UUID | None
    created_by: UUID
    created_at: InstantOut
    updated_at: InstantOut
    deleted_at: InstantOut | None
    version: Annotated[int, Field(examples=[1])]


class OccurrenceResponse(Output):
    model_config = ConfigDict(
        title="Occurrence",
        json_schema_extra={
            "examples": [
                {
                    "due": {"date": "2026-11-22", "time": "14:30", "timezone": None, "at": None},
                    "completed_at": "2026-11-22T08:41:52.123Z",
                    "completed_by": EXAMPLE["created_by"],
                }
            ]
        },
    )

    due: Due
    completed_at: InstantOut
    completed_by: UUID
