"""The daily digest over HTTP: a setting of one's own."""

from fastapi import APIRouter

from doable.accounts.routes.users import Self
from doable.core.errors import Code
from doable.core.http import openapi
from doable.core.http.routing import Route
from doable.core.http.transaction import Reads, Tx
from doable.digests import operations, statements
from doable.digests.schemas import DigestResponse, DigestUpdate

router = APIRouter(prefix="/users/me/digest", tags=["accounts"], route_class=Route)

SCOPED = openapi.errors(Code.INSUFFICIENT_SCOPE)


@router.get("", responses=SCOPED)
async def get_digest(actor: Self, reads: Reads) -> DigestResponse:
    return DigestResponse(at=await reads.first(statements.AT, user_id=actor.user_id))


@router.put("", responses=SCOPED)
async def set_digest(actor: Self, body: DigestUpdate, tx: Tx) -> DigestResponse:
    """Have a mail each day that names what is due or overdue and not somebody else's; none when there is nothing."""
    await operations.choose(tx, actor, body.at)
    return DigestResponse(at=None if body.at is None else body.at.isoformat("minutes"))
