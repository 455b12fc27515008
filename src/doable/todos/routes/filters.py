"""Which todos a request asks for: its query becomes a filter, an order and the parameters of both."""

from collections.abc import Callable
from datetime import date
from typing import Annotated, Literal, NamedTuple
from uuid import UUID

from fastapi import Depends, Query, Request
from pydantic import TypeAdapter, ValidationError

from doable.core.errors import invalid_field
from doable.core.http import paging
from doable.core.types import DateIn, Flag, UuidStr
from doable.todos import statements
from doable.todos.statements import Filter

MOST = 50
"""Values that a comma-separated list may have."""

_uuid = TypeAdapter[UUID](UuidStr)


class TodoFilter(NamedTuple):
    list_ids: tuple[UUID, ...]
    parent: UUID | Literal["any", "none"]
    completed: bool | None
    priorities: tuple[int, ...]
    due_before: date | None
    due_after: date | None
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
        )

    @property
    def parameters(self) -> dict[str, object]:
        given: dict[str, object] = {
            "list_ids": list(self.list_ids),
            "parent_id": self.parent if isinstance(self.parent, UUID) else None,
            "priorities": list(self.priorities),
            "due_before": self.due_before and self.due_before.isoformat(),
            "due_after": self.due_after and self.due_after.isoformat(),
        }
        return {name: values for name, values in given.items() if values}


async def _chosen(
    request: Request,
    list_id: Annotated[str | None, Query(description="One id, or several separated by commas.")] = None,
    parent_id: Annotated[
        str | None, Query(description="The id of the todo above, or `none`: those at the top.")
    ] = None,
    completed: Annotated[Flag | None, Query(description="Absent: both.")] = None,
    priority: Annotated[str | None, Query(description="1 to 5, several separated by commas.", examples=["1,2"])] = None,
    due_before: Annotated[DateIn | None, Query(description="The date as written is earlier than this one.")] = None,
    due_after: Annotated[DateIn | None, Query(description="The date as written is later than this one.")] = None,
    sort: Annotated[
        str | None,
        Query(
            pattern=f"^-?({'|'.join(statements.SORTS)})$",
            description="`-` reverses. Absent: `position` with one `list_id`, else `id`, which has the newest first.",
        ),
    ] = None,
) -> TodoFilter:
    paging.refuse_unknown(request, "list_id", "parent_id", "completed", "priority", "due_before", "due_after", "sort")
    list_ids = _values("list_id", list_id, _uuid.validate_python, "an id")
    priorities = _values("priority", priority, _priority, "a priority from 1 to 5")
    done = None if completed is None else completed == "true"
    by_default = "position" if len(list_ids) == 1 else "id"
    return TodoFilter(list_ids, _parent(parent_id), done, priorities, due_before, due_after, sort or by_default)


Chosen = Annotated[TodoFilter, Depends(_chosen)]


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
