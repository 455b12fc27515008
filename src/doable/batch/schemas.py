"""The wire shapes of a batch."""

from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, JsonValue

from doable.core.types import Input, Int31, Output, absent
from doable.lists.schemas import ListCreate, ListResponse, ListUpdate
from doable.todos.schemas import EXAMPLE as TODO_EXAMPLE
from doable.todos.schemas import Completion, TodoCreate, TodoPlace, TodoResponse, TodoUpdate

MOST = 100
OPERATIONS_EXAMPLE: list[JsonValue] = [
    {"op": "list.create", "ref": "trip", "data": {"name": "Trip"}},
    {"op": "todo.create", "ref": "pack", "data": {"title": "Pack", "list_id": "$trip"}},
    {"op": "todo.create", "data": {"title": "Socks", "parent_id": "$pack"}},
]


class Nothing(Input):
    """No members."""


BODIES: dict[str, type[Input]] = {
    "todo.create": TodoCreate,
    "todo.update": TodoUpdate,
    "todo.complete": Completion,
    "todo.reopen": Nothing,
    "todo.move": TodoPlace,
    "todo.delete": Nothing,
    "todo.restore": Nothing,
    "list.create": ListCreate,
    "list.update": ListUpdate,
}
"""What the data of each operation are: the body of the operation of the same kind that stands alone."""


class Operation(Input):
    """One of the batch. `$ref` in `id`, in a member `…_id`, in `before` or `after` is the id of that earlier result."""

    op: Literal[
        "todo.create",
        "todo.update",
        "todo.complete",
        "todo.reopen",
        "todo.move",
        "todo.delete",
        "todo.restore",
        "list.create",
        "list.update",
    ]
    ref: Annotated[str, Field(min_length=1, max_length=50, pattern=r"^[A-Za-z0-9_-]+$", examples=["trip"])] = absent()
    id: Annotated[
        str,
        Field(max_length=51, description="Of the todo or list, unless it is created.", examples=["$pack"]),
    ] = absent()
    if_version: Annotated[Int31, Field(description="As If-Match: only if it has this version.", examples=[3])] = (
        absent()
    )
    data: Annotated[
        dict[str, Any],
        Field(description="The body that the operation has when it stands alone.", examples=[{"title": "Pack"}]),
    ] = absent()


class BatchRequest(Input):
    model_config = ConfigDict(json_schema_extra={"examples": [{"operations": OPERATIONS_EXAMPLE}]})

    operations: Annotated[list[Operation], Field(min_length=1, max_length=MOST)]


class BatchResult(Output):
    ref: Annotated[str | None, Field(examples=["pack"])]
    status: Annotated[int, Field(description="That the operation has when it stands alone.", examples=[201])]
    todo: TodoResponse | None
    list: ListResponse | None


class BatchResponse(Output):
    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"results": [{"ref": "pack", "status": 201, "todo": TODO_EXAMPLE, "list": None}]}]
        }
    )

    results: Annotated[list[BatchResult], Field(description="In the order of the operations.")]
