"""How people prove who they are: login, refresh, logout, forgotten passwords, verified addresses."""

from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response

from doable.accounts import access
from doable.accounts.access import Actor
from doable.accounts.operations import mailed, passwords, sessions, tickets
from doable.accounts.operations.sessions import Pair
from doable.accounts.routes.dependencies import Configuration, CurrentDevice, Hasher, Keys, Network, Post
from doable.accounts.schemas import (
    EmailVerification,
    Login,
    Logout,
    PasswordReset,
    PasswordResetRequest,
    RefreshRequest,
    TicketResponse,
    TokenPair,
)
from doable.core.errors import AppException, Code
from doable.core.http import idempotency, limiting, openapi
from doable.core.http.context import info
from doable.core.http.routing import Route
from doable.core.http.transaction import Db, Tx
from doable.core.types import changes
from doable.settings import Settings

router = APIRouter(prefix="/auth", tags=["auth"], route_class=Route)

RoomVisitor = Annotated[Actor, Depends(access.actor("todos:read"))]


@router.post(
    "/login",
    dependencies=[limiting.SharedNetworkBudget, idempotency.Ignored],
    responses=openapi.errors(Code.INVALID_CREDENTIALS),
)
async def login(
    request: Request, body: Login, db: Db, hasher: Hasher, keys: Keys, device: CurrentDevice, settings: Configuration
) -> TokenPair:
    """Begin a session. After five failures in a row this name has to wait on this network: 429 with `Retry-After`."""
    return _token_pair(request, await sessions.login(db, hasher, keys, body, device), settings)


@router.post(
    "/refresh",
    dependencies=[idempotency.Ignored],
    responses=openapi.errors(Code.UNAUTHENTICATED, Code.SESSION_ENDED),
)
async def refresh(request: Request, body: RefreshRequest, db: Db, keys: Keys, settings: Configuration) -> TokenPair:
    """Exchange the refresh token for the next one. If the answer is lost, send the same token again.

    Once the next one is in use, the old one is good for ten more seconds; whoever presents it later ends the session.
    """
    _charge_bearer_of(body.refresh_token, request, keys)
    return _token_pair(request, await sessions.refresh(db, keys, body.refresh_token), settings)


@router.post(
    "/logout",
    status_code=204,
    dependencies=[idempotency.Ignored],
    responses=openapi.errors(Code.UNAUTHENTICATED, Code.SESSION_ENDED, Code.SESSION_REQUIRED),
)
async def logout(
    request: Request, db: Db, keys: Keys, credential: access.Credential, body: Logout | None = None
) -> None:
    """End the session of the refresh token, or else that of the bearer token. Its access tokens end at once."""
    if body is not None and changes(body):
        _charge_bearer_of(body.refresh_token, request, keys)
        await sessions.logout(db, keys, body.refresh_token)
        return
    try:
        actor = await access.of_bearer(request, credential)
    except AppException:
        limiting.charge_network(request)
        raise
    limiting.charge(request, str(actor.user_id), "auth")
    actor.need_session()
    async with db.transaction() as tx:
        await sessions.end_current(tx, actor)


@router.post(
    "/ticket",
    status_code=201,
    dependencies=[idempotency.Ignored],
    responses=openapi.errors(Code.INSUFFICIENT_SCOPE),
)
async def create_ticket(actor: RoomVisitor, tx: Tx) -> TicketResponse:
    """What opens a room instead of the bearer token, once and within 30 seconds, where no header can be sent."""
    return TicketResponse(ticket=await tickets.create(tx, actor), expires_in=int(tickets.LIFETIME.total_seconds()))


@router.post(
    "/password-reset",
    status_code=202,
    response_class=Response,
    dependencies=[limiting.SharedNetworkBudget, idempotency.Ignored],
)
async def request_password_reset(body: PasswordResetRequest, db: Db, post: Post, network: Network) -> Response:
    """Mail a link to the address if it is somebody's. The answer is the same for every address."""
    await passwords.request_reset(db, post, body.email, network)
    return Response(status_code=202)


@router.post(
    "/password-reset/confirm", status_code=204, dependencies=[limiting.SharedNetworkBudget, idempotency.Ignored]
)
async def reset_password(body: PasswordReset, db: Db, hasher: Hasher, network: Network) -> None:
    """Set a new password with the token from the mail, once. Ends all sessions, and API tokens."""
    await passwords.reset_password(db, hasher, body, network)


@router.post("/verify-email", status_code=204, dependencies=[limiting.NetworkBudget, idempotency.Ignored])
async def verify_email(body: EmailVerification, db: Db) -> None:
    """Prove with the token from the mail, once, that the address is yours. API tokens made before are deleted."""
    await mailed.verify_email(db, body.token)


def _charge_bearer_of(refresh_token: str, request: Request, keys: Keys) -> None:
    """To the session which the token names; what this server has not made is its network's affair, and no session's."""
    session_id = keys.refresh.session_of(refresh_token)
    if session_id is None:
        limiting.charge_network(request)
    else:
        limiting.charge(request, f"session:{session_id}", "auth")


def _token_pair(request: Request, pair: Pair, settings: Settings) -> TokenPair:
    info(request.scope).user_id = str(pair.user_id)  # for the log: who has come in
    return TokenPair(
        access_token=pair.access_token,
        refresh_token=pair.refresh_token,
        expires_in=settings.access_token_expire_minutes * 60,
    )
