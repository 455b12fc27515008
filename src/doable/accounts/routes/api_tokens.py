"""One's own API tokens."""

from fastapi import APIRouter, Response

from doable.accounts.access import CurrentSession
from doable.accounts.operations import api_tokens
from doable.accounts.routes import shapes
from doable.accounts.routes.dependencies import Configuration
from doable.accounts.schemas import ApiTokenCreate, ApiTokenCreated, ApiTokenResponse
from doable.accounts.statements import tokens as statements
from doable.core.errors import Code
from doable.core.http import idempotency, openapi
from doable.core.http.paging import CursorKey, Paging
from doable.core.http.routing import Route
from doable.core.http.transaction import Db, Reads, Tx
from doable.core.pages import Page
from doable.core.types import UuidStr

router = APIRouter(prefix="/users/me/tokens", tags=["accounts"], route_class=Route)


@router.get("", responses=openapi.errors(Code.SESSION_REQUIRED, Code.INVALID_CURSOR))
async def list_api_tokens(
    actor: CurrentSession, reads: Reads, paging: Paging, cursors: CursorKey
) -> Page[ApiTokenResponse]:
    """My API tokens, the newest first, without their secrets."""
    return await statements.API_TOKENS.page(reads, paging, cursors, shapes.api_token, user_id=actor.user_id)


@router.post(
    "",
    status_code=201,
    dependencies=[idempotency.Ignored],
    responses=openapi.errors(Code.SESSION_REQUIRED, Code.ALREADY_EXISTS, Code.LIMIT_REACHED)
    | openapi.headers(201, "Location"),
)
async def create_api_token(
    actor: CurrentSession, body: ApiTokenCreate, db: Db, settings: Configuration, response: Response
) -> ApiTokenCreated:
    """Let a program act for me, as far as the scopes go. `token` is shown now and never again."""
    row, secret = await api_tokens.create(db, actor, body)
    response.headers["Location"] = f"{settings.api_v1_prefix}/users/me/tokens/{row.id}"
    return shapes.new_api_token(row, secret)


@router.delete("/{token_id}", status_code=204, responses=openapi.errors(Code.SESSION_REQUIRED, Code.NOT_FOUND))
async def delete_api_token(actor: CurrentSession, token_id: UuidStr, tx: Tx) -> None:
    """The token is refused from now on."""
    await api_tokens.delete(tx, actor, token_id)
