"""The operations on lists over HTTP."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query

from doable.accounts import access as accounts_access
from doable.accounts.access import Actor
from doable.core import ids
from doable.core.changes import Changed
from doable.core.errors import Code
from doable.core.http import openapi
from doable.core.http.answers import Headers
from doable.core.http.conditional import IfMatch
from doable.core.http.paging import CursorKey, Paging
from doable.core.http.routing import Route
from doable.core.http.transaction import Reads, Tx
from doable.core.pages import Page
from doable.core.types import Flag, UuidStr, changes
from doable.lists import access, shapes, statements
from doable.lists.operations import creation, editing
from doable.lists.schemas import ListCreate, ListResponse, ListUpdate
from doable.lists.statements import ListRow

router = APIRouter(prefix="/lists", tags=["lists"], route_class=Route)

ListReader = Annotated[Actor, Depends(accounts_access.actor("lists:read"))]
ListWriter = Annotated[Actor, Depends(accounts_access.actor("lists:write"))]


@router.get("", responses=openapi.errors(Code.INVALID_CURSOR, Code.INSUFFICIENT_SCOPE))
async def list_lists(
    actor: ListReader,
    reads: Reads,
    paging: Paging,
    cursors: CursorKey,
    archived: Annotated[Flag, Query(description="The archived lists instead of the others.")] = "false",
) -> Page[ListResponse]:
    """My lists, the inbox first."""
    return await statements.LISTS[archived == "true"].page(reads, paging, cursors, shapes.shown, actor_id=actor.user_id)


@router.post(
    "",
    status_code=201,
    responses=openapi.errors(Code.ALREADY_EXISTS, Code.LIMIT_REACHED, Code.INSUFFICIENT_SCOPE)
    | openapi.headers(201, "ETag", "Location", "Doable-Position"),
)
async def create_list(actor: ListWriter, body: ListCreate, tx: Tx, headers: Headers) -> ListResponse:
    """Make a list of my own."""
    change = await creation.create(tx, actor, changes(body).get("id", ids.new_id()), body.name, body.color)
    headers.location(f"/lists/{change.row.id}")
    return changed(change, headers)


@router.get(
    "/{list_id}",
    responses=openapi.errors(Code.NOT_FOUND, Code.INSUFFICIENT_SCOPE) | openapi.headers(200, "ETag"),
)
async def get_list(actor: ListReader, list_id: UuidStr, reads: Reads, headers: Headers) -> ListResponse:
    row = await access.visible(reads, actor, list_id)
    headers.etag(row.version, row.role)
    return shapes.shown(row)


@router.patch(
    "/{list_id}",
    responses=openapi.errors(Code.NOT_FOUND, Code.FORBIDDEN, Code.INSUFFICIENT_SCOPE, Code.CONFLICT)
    | openapi.headers(200, "ETag", "Doable-Position"),
)
async def update_list(
    actor: ListWriter, list_id: UuidStr, body: ListUpdate, tx: Tx, expected: IfMatch, headers: Headers
) -> ListResponse:
    """Change what is sent and nothing else; the inbox cannot be archived."""
    change = await editing.update(tx, actor, list_id, changes(body), expected)
    return changed(change, headers)


@router.delete(
    "/{list_id}",
    status_code=204,
    responses=openapi.errors(Code.NOT_FOUND, Code.FORBIDDEN, Code.INSUFFICIENT_SCOPE, Code.CONFLICT)
    | openapi.headers(204, "Doable-Position"),
)
async def delete_list(actor: ListWriter, list_id: UuidStr, tx: Tx, expected: IfMatch, headers: Headers) -> None:
    """Put a list of mine away with its todos; it can be restored for 30 days."""
    change = await editing.delete(tx, actor, list_id, expected)
    headers.position(change.revision)


@router.put(
    "/{list_id}/restoration",
    responses=openapi.errors(Code.NOT_FOUND, Code.FORBIDDEN, Code.INSUFFICIENT_SCOPE)
    | openapi.headers(200, "ETag", "Doable-Position"),
)
async def restore_list(actor: ListWriter, list_id: UuidStr, tx: Tx, headers: Headers) -> ListResponse:
    """Bring a deleted list back; nothing happens to one that is not deleted."""
    change = await editing.restore(tx, actor, list_id)
    return changed(change, headers)


def changed(change: Changed[ListRow], headers: Headers) -> ListResponse:
    headers.etag(change.row.version, change.row.role)
    headers.position(change.revision)
    return shapes.shown(change.row)
