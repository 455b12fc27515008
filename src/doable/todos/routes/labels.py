"""The labels that todos have, over HTTP: there are no others."""

from typing import Annotated

from fastapi import APIRouter
from pydantic import ConfigDict, Field

from doable.core.errors import Code
from doable.core.http import openapi
from doable.core.http.routing import Route
from doable.core.http.transaction import Reads
from doable.core.types import Output
from doable.lists import access as lists_access
from doable.todos.routes import TodoReader, filters
from doable.todos.statements import terms

router = APIRouter(tags=["todos"], route_class=Route)


class LabelResponse(Output):
    model_config = ConfigDict(title="Label", json_schema_extra={"examples": [{"label": "home", "count": 3}]})

    label: Annotated[str, Field(description="As most of the todos have it.", examples=["home"])]
    count: Annotated[int, Field(description="Todos that have it, done or not.", examples=[3])]


class LabelsResponse(Output):
    model_config = ConfigDict(json_schema_extra={"examples": [{"items": [{"label": "home", "count": 3}]}]})

    items: list[LabelResponse]


@router.get("/labels", responses=openapi.errors(Code.NOT_FOUND, Code.INSUFFICIENT_SCOPE))
async def list_labels(actor: TodoReader, reads: Reads, list_id: filters.ListIds = None) -> LabelsResponse:
    """The labels of my todos in all lists that are not archived, or in the lists that are named; not of the trash."""
    list_ids = filters.lists_of(list_id)
    if list_ids:
        await lists_access.all_visible(reads, actor, list_ids)
    rows = await reads.all(
        terms.labels(named=bool(list_ids)),
        actor_id=actor.user_id,
        **({"list_ids": list(list_ids)} if list_ids else {}),
    )
    counted: dict[str, LabelResponse] = {}
    for row in rows:
        one = counted.setdefault(row.term, LabelResponse(label=row.label, count=0))
        one.count += row.todos
    return LabelsResponse(items=list(counted.values()))
