"""Which todos a request asks for: its query becomes a filter, an order and the parameters of both."""

from collections.abc import Callable
from datetime import date
from typing import Annotated, Literal, NamedTuple
from uuid import UUID

from fastapi import Depends, Query
from pydantic import TypeAdapter, ValidationError

from doable.core.errors import invalid_field
from doable.core.types import DateIn, Flag, Line, UuidStr
from doable.todos import search, statements
from doable.todos.schemas import Label
from doable.todos.statements import Filter

MOST = 50
"""Values that a comma-separated list may have."""
MOST_TERMS = 32
"""Words of a search, or pairs of characters where words are not seen."""

_uuid = TypeAdapter[UUID](UuidStr)
_label = TypeAdapter[str](Label)

ListIds = Annotated[str | None, Query(description="One id, or several separated by commas.")]
Labels = Annotated[
    str | None,
    Query(description="Todos with one of these, whatever its case; several separated by commas.", examples=["home"]),
]
Wanted = Annotated[
    Annotated[str, Line(200)] | None,
    Query(description="Words of the title or the description; the last may be the beginning of one.", examples=["mil"]),
]
Sort = Annotated[
    str | None,
    Query(
        pattern=f"^-?({'|'.join(statements.SORTS)})$",
        description="`-` reverses. Absent: `position` with one `list_id`, else `id`, which has the newest first.",
    ),
]


class TodoFilter(NamedTuple):
    list_ids: tuple[UUID, ...]
    parent: UUID | Literal["any", "none"]
    completed: bool | None
    priorities: tuple[int, ...]
    due_before: date | None
    due_after: date | None
    labels: tuple[str, ...]
    assignee: UUID | Literal["me", "none"] | None
    ranges: list[search.Range] | None
    sort: str

    @property
    def filter(self) -> Filter:
        return Filter(
            list_id=bool(self.list_ids),
            parent="one" if isinstance(self.parent, UUID) else self.parent,
            completed=self.completed,
            priority=bool(self.priorities),
            due_before=self.due_before is not None,
            due_after=self.due_after is not None,
            label=bool(self.labels),
            assignee="id" if isinstance(self.assignee, UUID) else self.assignee,
            words=None if self.ranges is None else len(self.ranges),
        )

    @property
    def parameters(self) -> dict[str, object]:
        given: dict[str, object] = {
            "list_ids": list(self.list_ids),
            "parent_id": self.parent if isinstance(self.parent, UUID) else None,
            "priorities": list(self.priorities),
            "due_before": self.due_before and self.due_before.isoformat(),
            "due_after": self.due_after and self.due_after.isoformat(),
            "labels": list(map(search.label_term, self.labels)),
            "assignee_id": self.assignee if isinstance(self.assignee, UUID) else None,
        }
        for n, (low, high) in enumerate(self.ranges or ()):
            given |= {f"low_{n}": low, f"high_{n}": high}
        return {name: values for name, values in given.items() if values}


async def _chosen(
    list_id: ListIds = None,
    parent_id: Annotated[str | None, Query(description="The id of the todo above, or `none`: at the top.")] = None,
    completed: Annotated[Flag | None, Query(description="Absent: both.")] = None,
    priority: Annotated[str | None, Query(description="1 to 5, several separated by commas.", examples=["1,2"])] = None,
    due_before: Annotated[DateIn | None, Query(description="The date as written is earlier than this one.")] = None,
    due_after: Annotated[DateIn | None, Query(description="The date as written is later than this one.")] = None,
    label: Labels = None,
    assignee: Annotated[str | None, Query(description="The id of a person, `me`, or `none`.", examples=["me"])] = None,
    q: Wanted = None,
    sort: Sort = None,
) -> TodoFilter:
    list_ids = lists_of(list_id)
    return TodoFilter(
        list_ids,
        parent=_parent(parent_id),
        completed=None if completed is None else completed == "true",
        priorities=_values("priority", priority, _priority, "a priority from 1 to 5"),
        due_before=due_before,
        due_after=due_after,
        labels=_values("label", label, _label.validate_python, "a label"),
        assignee=None if assignee is None else _assignee(assignee),
        ranges=None if q is None else _ranges(q),
        sort=sort or ("position" if len(list_ids) == 1 else "id"),
    )


Chosen = Annotated[TodoFilter, Depends(_chosen)]


def lists_of(list_id: str | None) -> tuple[UUID, ...]:
    return _values("list_id", list_id, _uuid.validate_python, "an id")


def _values[T](name: str, text: str | None, read: Callable[[str], T], what: str) -> tuple[T, ...]:
    if text is None:
        return ()
    parts = text.split(",")
    if len(parts) > MOST:
        raise invalid_field(f"query.{name}", f"At most {MOST} values.")
    try:
        return tuple(dict.fromkeys(map(read, parts)))
    except (ValueError, ValidationError):
        raise invalid_field(f"query.{name}", f"Each value has to be {what}.") from None


def _parent(text: str | None) -> UUID | Literal["any", "none"]:
    if text is None:
        return "any"
    try:
        return "none" if text == "none" else _uuid.validate_python(text)
    except ValidationError:
        raise invalid_field("query.parent_id", "It has to be an id, or `none`.") from None


def _priority(text: str) -> int:
    if text not in {"1", "2", "3", "4", "5"}:
        raise ValueError(text)
    return int(text)


def _assignee(text: str) -> UUID | Literal["me", "none"]:
    if text == "me":
        return "me"
    if text == "none":
        return "none"
    try:
        return _uuid.validate_python(text)
    except ValidationError:
        raise invalid_field("query.assignee", "The assignee has to be an id, me or none.") from None


def _ranges(q: str) -> list[search.Range]:
    ranges = search.ranges(q)
    if len(ranges) > MOST_TERMS:
        raise invalid_field("query.q", f"At most {MOST_TERMS} words can be looked for.")
    return ranges
