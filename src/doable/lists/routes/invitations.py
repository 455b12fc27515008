"""Invitations over HTTP: as owners of lists send them, and as people find and answer them."""

from fastapi import APIRouter, Depends, Request, Response

from doable.accounts.routes.dependencies import Post
from doable.core import clock
from doable.core.errors import Code
from doable.core.http import idempotency, limiting, openapi
from doable.core.http.answers import Headers
from doable.core.http.paging import CursorKey, Paging
from doable.core.http.routing import Route
from doable.core.http.transaction import Db, Reads, Tx
from doable.core.pages import Page
from doable.core.types import UuidStr, changes
from doable.lists import access, shapes
from doable.lists.access import Choice
from doable.lists.operations import invitations
from doable.lists.routes import ListReader, ListWriter, changed
from doable.lists.schemas import (
    InvitationChoice,
    InvitationCreate,
    InvitationCreated,
    InvitationResponse,
    ListResponse,
)
from doable.lists.statements import invitations as statements

router = APIRouter(tags=["invitations"], route_class=Route)

OWNING = openapi.errors(Code.NOT_FOUND, Code.FORBIDDEN, Code.INSUFFICIENT_SCOPE)
ANSWERING = openapi.errors(Code.NOT_FOUND, Code.INSUFFICIENT_SCOPE, Code.CONFLICT)


async def _charge(request: Request, actor: ListWriter) -> None:
    await limiting.charge_shared(request, f"invitations:{actor.user_id}", invitations.BUDGET)


@router.get("/lists/{list_id}/invitations", responses=OWNING | openapi.errors(Code.INVALID_CURSOR))
async def list_invitations(
    actor: ListReader, list_id: UuidStr, reads: Reads, paging: Paging, cursors: CursorKey
) -> Page[InvitationResponse]:
    """The invitations to a list of mine, the newest first, with what became of them."""
    await access.managed(reads, actor, list_id)
    return await statements.INVITATIONS.page(
        reads, paging, cursors, shapes.invitation, actor_id=actor.user_id, list_id=list_id
    )


@router.post(
    "/lists/{list_id}/invitations",
    status_code=201,
    dependencies=[idempotency.Ignored, Depends(_charge)],
    responses=OWNING
    | openapi.errors(Code.CONFLICT, Code.LIMIT_REACHED)
    | openapi.headers(201, "Location")
    | {200: {"model": InvitationCreated, "description": "An invitation to this address is open already."}},
)
async def create_invitation(
    actor: ListWriter,
    list_id: UuidStr,
    body: InvitationCreate,
    db: Db,
    post: Post,
    headers: Headers,
    response: Response,
) -> InvitationCreated:
    """Invite the reader of an e-mail address to a list of mine, by mail and by the `url` of the answer, for 7 days.

    The answer is the same whether or not the address has an account here, or is that of a member.
    """
    made = await invitations.invite(db, post, actor, list_id, body.email, body.role)
    if made.url is None:
        response.status_code = 200
    else:
        headers.location(f"/lists/{list_id}/invitations/{made.row.id}")
    return shapes.new_invitation(made.row, made.url)


@router.delete(
    "/lists/{list_id}/invitations/{invitation_id}",
    status_code=204,
    responses=OWNING | openapi.errors(Code.CONFLICT),
)
async def revoke_invitation(actor: ListWriter, list_id: UuidStr, invitation_id: UuidStr, tx: Tx) -> None:
    """Take an invitation back; nothing happens to one that is no longer open."""
    await invitations.revoke(tx, actor, list_id, invitation_id)


@router.get("/invitations", responses=openapi.errors(Code.INVALID_CURSOR, Code.INSUFFICIENT_SCOPE))
async def list_my_invitations(
    actor: ListReader, reads: Reads, paging: Paging, cursors: CursorKey
) -> Page[InvitationResponse]:
    """The open invitations to my e-mail address, once it is verified."""
    box = await access.proved_mailbox(reads, actor)
    return await statements.MINE.page(
        reads, paging, cursors, shapes.invitation, actor_id=actor.user_id, mailbox=box, now=clock.now()
    )


@router.post("/invitations/acceptance", responses=ANSWERING | openapi.headers(200, "ETag", "Doable-Position"))
async def accept_invitation(actor: ListWriter, body: InvitationChoice, tx: Tx, headers: Headers) -> ListResponse:
    """Join the list; who is in it already stays what he is. A link's secret works for whoever holds it, once."""
    return changed(await invitations.accept(tx, actor, Choice(**changes(body))), headers)


@router.post("/invitations/refusal", status_code=204, responses=ANSWERING)
async def refuse_invitation(actor: ListWriter, body: InvitationChoice, tx: Tx) -> None:
    """Say no; nothing happens to an invitation that is declined already."""
    await invitations.refuse(tx, actor, Choice(**changes(body)))
