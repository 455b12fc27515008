"""Who is asking: a bearer credential becomes an `Actor`, or the request is refused."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from fastapi import Depends, Request
from fastapi.openapi.models import HTTPBearer as HTTPBearerModel
from fastapi.security.base import SecurityBase
from starlette.requests import HTTPConnection

from doable.accounts.last_used import LastUsed
from doable.accounts.principals import Principals
from doable.accounts.scopes import Scope
from doable.accounts.statements import principals as principal_statements
from doable.accounts.statements import users
from doable.accounts.statements.principals import SessionPrincipal, TokenPrincipal
from doable.accounts.statements.tickets import TicketRow
from doable.accounts.statements.users import Account
from doable.core import clock, tokens
from doable.core.db import Transaction
from doable.core.errors import AppException, Code
from doable.core.http import limiting
from doable.core.http.context import info
from doable.core.http.transaction import SAFE_METHODS
from doable.core.queries import Reader

API_TOKEN_PREFIX = "dbl_"  # noqa: S105 — what every API token starts with


class _Bearer(SecurityBase):
    """FastAPI's `HTTPBearer`, in the documents too, but for the text alone: the header was read by the edge."""

    def __init__(self, scheme_name: str, description: str) -> None:
        self.model = HTTPBearerModel(bearerFormat="JWT", description=description)
        self.scheme_name = scheme_name

    async def __call__(self, connection: HTTPConnection) -> str:
        given = info(connection.scope).headers.get(b"authorization", b"").decode("latin-1")
        scheme, _, credential = given.partition(" ")
        return credential.strip() if scheme.lower() == "bearer" else ""


_bearer = _Bearer("BearerAuth", "An access token of a session, or an API token.")
Credential = Annotated[str, Depends(_bearer)]
"""What the request shows, if only an empty text."""


@dataclass(frozen=True, slots=True)
class Actor:
    """Who acts: a person through a session, or a program through an API token, which has `scopes`."""

    user_id: UUID
    username: str
    is_admin: bool
    timezone: str
    inbox_id: UUID
    session_id: UUID | None
    token_id: UUID | None
    scopes: frozenset[str] | None

    def need_session(self) -> UUID:
        """The session; an API token is refused."""
        if self.session_id is None:
            raise AppException(Code.SESSION_REQUIRED, "Only a session may do this, not an API token.")
        return self.session_id

    def need(self, scope: Scope) -> None:
        """Refuse an API token without this scope."""
        if self.scopes is not None and scope not in self.scopes:
            raise AppException(Code.INSUFFICIENT_SCOPE, f"The token lacks the scope {scope}.", {"scope": scope})


async def current(request: Request, credential: Credential) -> Actor:
    """The actor of this request, charged for it."""
    actor = await of_bearer(request, credential)
    _charge(request, actor, "read" if request.scope["method"] in SAFE_METHODS else "write")
    return actor


CurrentActor = Annotated[Actor, Depends(current)]
"""Any live credential, whatever its scopes."""


async def reading(request: Request, credential: Credential) -> Actor:
    """The actor of a request that changes nothing, whatever its method is, and is charged for no more."""
    actor = await of_bearer(request, credential)
    _charge(request, actor, "read")
    return actor


def _charge(request: Request, actor: Actor, group: Literal["read", "write"]) -> None:
    limiting.charge(request, info(request.scope).user_id or str(actor.user_id), group)


async def _with_session(actor: CurrentActor) -> Actor:
    actor.need_session()
    return actor


CurrentSession = Annotated[Actor, Depends(_with_session)]
"""A person who has logged in; an API token is refused."""


async def _admin(actor: CurrentSession) -> Actor:
    if not actor.is_admin:
        raise not_admin()
    return actor


CurrentAdmin = Annotated[Actor, Depends(_admin)]
"""An administrator who has logged in; no scope of an API token reaches this far."""


def actor(scope: Scope) -> Callable[[Actor], Awaitable[Actor]]:
    """A dependency for a session, or an API token with this scope.

    Used as `TodoReader = Annotated[Actor, Depends(access.actor("todos:read"))]`.
    """

    async def scoped(actor: CurrentActor) -> Actor:
        actor.need(scope)
        return actor

    return scoped


def reader(scope: Scope) -> Callable[[Actor], Awaitable[Actor]]:
    """The same for a request that changes nothing though its method could."""

    async def scoped(actor: Annotated[Actor, Depends(reading)]) -> Actor:
        actor.need(scope)
        return actor

    return scoped


def unauthenticated() -> AppException:
    return AppException(Code.UNAUTHENTICATED, "A valid bearer token is needed.")


def not_admin() -> AppException:
    return AppException(Code.FORBIDDEN, "Only an administrator may do this.")


def session_ended() -> AppException:
    return AppException(Code.SESSION_ENDED, "The session has ended; log in again.")


async def of_bearer(connection: HTTPConnection, credential: str) -> Actor:
    """Whoever shows this access token or API token: as remembered, if that is certain, or as the database says.

    Raises UNAUTHENTICATED or SESSION_ENDED.
    """
    state, now = connection.scope["state"], clock.now()
    principals: Principals[Actor] = state["principals"]
    actor = principals.find(credential, now)
    if actor is None:
        by = _by_token if credential.startswith(API_TOKEN_PREFIX) else _by_session
        actor = await by(connection, credential, now)
    last_used: LastUsed = state["last_used"]
    if actor.session_id is not None:
        last_used.touch_session(actor.session_id, now)
    elif actor.token_id is not None:
        last_used.touch_token(actor.user_id, actor.token_id, now)
    info(connection.scope).user_id = str(actor.user_id)
    return actor


async def of_ticket(connection: HTTPConnection, ticket: TicketRow) -> Actor:
    """Whoever was given the ticket, if the session or API token that asked for it is still good."""
    now = clock.now()
    reads: Reader = connection.state.db.reads
    if ticket.session_id is not None:
        session = await reads.first(
            principal_statements.PRINCIPAL_OF_SESSION, session_id=ticket.session_id, user_id=ticket.user_id
        )
        return _in_session(session, ticket.session_id, now)
    token = await reads.first(
        principal_statements.PRINCIPAL_OF_TOKEN_ID, user_id=ticket.user_id, token_id=ticket.token_id
    )
    return _with_token(token, now)


async def still(tx: Transaction, actor: Actor) -> Account:
    """The actor's account, locked, if what authenticated the request is good to this moment; refused otherwise.

    Between the check of the credential and the writing transaction passwords are hashed, others change the password,
    an administrator disables the account: whatever is written in somebody's name asks again here.
    """
    account = await alive(tx, actor)
    if actor.session_id is not None:
        credential = await tx.first(
            principal_statements.LOCKED_SESSION, session_id=actor.session_id, user_id=actor.user_id
        )
    else:
        credential = await tx.first(principal_statements.LOCKED_TOKEN, token_id=actor.token_id, user_id=actor.user_id)
    if credential is None:
        raise unauthenticated()
    expired = credential.expires_at is not None and credential.expires_at <= clock.now()
    if credential.revoked_at is not None or expired:
        raise session_ended() if actor.session_id is not None else unauthenticated()
    return account


async def alive(tx: Transaction, actor: Actor) -> Account:
    """The actor's account, locked, if it is neither deleted nor disabled."""
    account = await tx.first(users.LOCKED_ACCOUNT, user_id=actor.user_id)
    if account is None or account.disabled_at is not None:
        raise unauthenticated()
    return account


async def _by_session(connection: HTTPConnection, credential: str, now: datetime) -> Actor:
    claims = connection.state.access_tokens.read(credential, now)
    if claims is None:
        raise unauthenticated()
    principals: Principals[Actor] = connection.state.principals
    asked = principals.asking()
    row = await connection.state.db.reads.first(
        principal_statements.PRINCIPAL_OF_SESSION, session_id=claims.session_id, user_id=claims.user_id
    )
    actor = _in_session(row, claims.session_id, now)
    if claims.generation > row.seen_generation:
        # Not remembered either: until it is written that this generation was seen, each request has to tell it.
        connection.state.last_used.see_generation(claims.session_id, claims.generation, now)
    else:
        principals.remember(credential, actor, asked, now, min(claims.expires_at, row.expires_at))
    return actor


def _in_session(row: SessionPrincipal | None, session_id: UUID, now: datetime) -> Actor:
    if row is None:
        raise unauthenticated()
    if row.revoked_at is not None or row.expires_at <= now:
        raise session_ended()
    if row.disabled_at is not None or row.deleted_at is not None:
        raise unauthenticated()
    return Actor(
        user_id=row.user_id,
        username=row.username,
        is_admin=row.is_admin,
        timezone=row.timezone,
        inbox_id=row.inbox_id,
        session_id=session_id,
        token_id=None,
        scopes=None,
    )


async def _by_token(connection: HTTPConnection, credential: str, now: datetime) -> Actor:
    principals: Principals[Actor] = connection.state.principals
    asked = principals.asking()
    row = await connection.state.db.reads.first(
        principal_statements.PRINCIPAL_OF_TOKEN, digest=tokens.digest(credential)
    )
    actor = _with_token(row, now)
    principals.remember(credential, actor, asked, now, row.expires_at)
    return actor


def _with_token(row: TokenPrincipal | None, now: datetime) -> Actor:
    if row is None or (row.expires_at is not None and row.expires_at <= now):
        raise unauthenticated()
    if row.disabled_at is not None or row.deleted_at is not None:
        raise unauthenticated()
    return Actor(
        user_id=row.user_id,
        username=row.username,
        is_admin=row.is_admin,
        timezone=row.timezone,
        inbox_id=row.inbox_id,
        session_id=None,
        token_id=row.token_id,
        scopes=frozenset(row.scopes.split()),
    )
