"""Who is in a list, over HTTP."""

from fastapi import APIRouter

from doable.core.errors import Code
from doable.core.http import openapi
from doable.core.http.answers import Headers
from doable.core.http.paging import CursorKey, Paging
from doable.core.http.routing import Route
from doable.core.http.transaction import Reads, Tx
from doable.core.pages import Page
from doable.core.types import UuidStr
from doable.lists import access, shapes
from doable.lists.operations import membership
from doable.lists.routes import ListReader, ListWriter, changed
from doable.lists.schemas import ListResponse, MemberResponse, MemberUpdate, OwnerUpdate
from doable.lists.statements import membership as statements

router = APIRouter(prefix="/lists/{list_id}", tags=["members"], route_class=Route)

CHANGING = openapi.errors(Code.NOT_FOUND, Code.FORBIDDEN, Code.INSUFFICIENT_SCOPE, Code.CONFLICT)


@router.get("/members", responses=openapi.errors(Code.INVALID_CURSOR, Code.NOT_FOUND, Code.INSUFFICIENT_SCOPE))
async def list_members(
    actor: ListReader, list_id: UuidStr, reads: Reads, paging: Paging, cursors: CursorKey
) -> Page[MemberResponse]:
    """Who is in a list, those first who joined first."""
    await access.visible(reads, actor, list_id)
    return await statements.MEMBERS.page(
        reads, paging, cursors, shapes.member_row, actor_id=actor.user_id, list_id=list_id
    )


@router.patch("/members/{user_id}", responses=CHANGING | openapi.headers(200, "Doable-Position"))
async def update_member(
    actor: ListWriter, list_id: UuidStr, user_id: UuidStr, body: MemberUpdate, tx: Tx, headers: Headers
) -> MemberResponse:
    """Make a member of a list of mine an editor or a viewer."""
    change = await membership.change_role(tx, actor, list_id, user_id, body.role)
    headers.position(change.revision)
    return shapes.member_row(change.row)


@router.delete("/members/{user_id}", status_code=204, responses=CHANGING | openapi.headers(204, "Doable-Position"))
async def remove_member(actor: ListWriter, list_id: UuidStr, user_id: UuidStr, tx: Tx, headers: Headers) -> None:
    """Remove a member of a list of mine, or leave one that is somebody else's."""
    headers.position(await membership.remove(tx, actor, list_id, user_id))


@router.put(
    "/owner",
    responses=CHANGING | openapi.errors(Code.LIMIT_REACHED) | openapi.headers(200, "ETag", "Doable-Position"),
)
async def update_owner(
    actor: ListWriter, list_id: UuidStr, body: OwnerUpdate, tx: Tx, headers: Headers
) -> ListResponse:
    """Give a list of mine to one of its members, and stay as an editor."""
    return changed(await membership.transfer(tx, actor, list_id, body.user_id), headers)
