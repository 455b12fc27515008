"""The user behind a credential: one statement a request."""

from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import bindparam, null, select

from doable.accounts.tables import api_tokens, sessions, users
from doable.core.queries import query


class SessionPrincipal(NamedTuple):
    user_id: UUID
    username: str
    is_admin: bool
    timezone: str
    inbox_id: UUID
    disabled_at: datetime | None
    deleted_at: datetime | None
    revoked_at: datetime | None
    expires_at: datetime
    seen_generation: int


class TokenPrincipal(NamedTuple):
    user_id: UUID
    username: str
    is_admin: bool
    timezone: str
    inbox_id: UUID
    disabled_at: datetime | None
    deleted_at: datetime | None
    token_id: UUID
    scopes: str
    expires_at: datetime | None


class Credential(NamedTuple):
    revoked_at: datetime | None
    expires_at: datetime | None


PRINCIPAL_OF_SESSION = query(
    SessionPrincipal,
    select(
        users.c.id.label("user_id"),
        users.c.username,
        users.c.is_admin,
        users.c.timezone,
        users.c.inbox_id,
        users.c.disabled_at,
        users.c.deleted_at,
        sessions.c.revoked_at,
        sessions.c.expires_at,
        sessions.c.seen_generation,
    )
    .join(users, users.c.id == sessions.c.user_id)
    .where(sessions.c.id == bindparam("session_id"), sessions.c.user_id == bindparam("user_id")),
    by_key=True,
)
_TOKENS = select(
    users.c.id.label("user_id"),
    users.c.username,
    users.c.is_admin,
    users.c.timezone,
    users.c.inbox_id,
    users.c.disabled_at,
    users.c.deleted_at,
    api_tokens.c.id.label("token_id"),
    api_tokens.c.scopes,
    api_tokens.c.expires_at,
).join(users, users.c.id == api_tokens.c.user_id)
PRINCIPAL_OF_TOKEN = query(TokenPrincipal, _TOKENS.where(api_tokens.c.digest == bindparam("digest")), by_key=True)
PRINCIPAL_OF_TOKEN_ID = query(
    TokenPrincipal,
    _TOKENS.where(api_tokens.c.user_id == bindparam("user_id"), api_tokens.c.id == bindparam("token_id")),
)
# What was presented, held until the transaction ends: nobody takes it away between the check and the write.
LOCKED_SESSION = query(
    Credential,
    select(sessions.c.revoked_at, sessions.c.expires_at)
    .where(sessions.c.id == bindparam("session_id"), sessions.c.user_id == bindparam("user_id"))
    .with_for_update(key_share=True),
)
LOCKED_TOKEN = query(
    Credential,
    select(null().label("revoked_at"), api_tokens.c.expires_at)
    .where(api_tokens.c.user_id == bindparam("user_id"), api_tokens.c.id == bindparam("token_id"))
    .with_for_update(key_share=True),
)
