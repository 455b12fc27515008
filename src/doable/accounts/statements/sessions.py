"""Sessions and their chains of refresh tokens.

An UPDATE cannot have a parameter named like a column of its table, so a session's user is `owner` there.
"""

from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import Integer, bindparam, delete, insert, or_, select, update

from doable.accounts.tables import sessions, users
from doable.core.pages import Order, listing
from doable.core.queries import query


class SessionRow(NamedTuple):
    id: UUID
    user_agent: str | None
    ip: str | None
    created_at: datetime
    last_used_at: datetime
    expires_at: datetime


class Chain(NamedTuple):
    """A session's chain of refresh tokens, with what the user's state has to say about it."""

    id: UUID
    user_id: UUID
    refresh_hash: bytes
    previous_hash: bytes | None
    rotation_salt: bytes | None
    generation: int
    seen_generation: int
    seen_at: datetime | None
    rotated_at: datetime
    created_at: datetime
    expires_at: datetime
    revoked_at: datetime | None
    usable: bool


SESSIONS = listing(
    "sessions",
    SessionRow,
    select(
        sessions.c.id,
        sessions.c.user_agent,
        sessions.c.ip,
        sessions.c.created_at,
        sessions.c.last_used_at,
        sessions.c.expires_at,
    ).where(
        sessions.c.user_id == bindparam("user_id"),
        sessions.c.revoked_at.is_(None),
        sessions.c.expires_at > bindparam("at"),
    ),
    Order("id", sessions.c.id, descending=True),
)
LOCKED_CHAIN = query(
    Chain,
    select(
        sessions.c.id,
        sessions.c.user_id,
        sessions.c.refresh_hash,
        sessions.c.previous_hash,
        sessions.c.rotation_salt,
        sessions.c.generation,
        sessions.c.seen_generation,
        sessions.c.seen_at,
        sessions.c.rotated_at,
        sessions.c.created_at,
        sessions.c.expires_at,
        sessions.c.revoked_at,
        (users.c.disabled_at.is_(None) & users.c.deleted_at.is_(None)).label("usable"),
    )
    .join(users, users.c.id == sessions.c.user_id)
    .where(sessions.c.id == bindparam("session_id"))
    .with_for_update(of=sessions),
)
INSERT_SESSION = insert(sessions)
ROTATE = (
    update(sessions)
    .where(sessions.c.id == bindparam("session_id"))
    .values(
        previous_hash=sessions.c.refresh_hash,
        refresh_hash=bindparam("successor"),
        rotation_salt=bindparam("salt"),
        generation=sessions.c.generation + 1,
        rotated_at=bindparam("at"),
        last_used_at=bindparam("at"),
        expires_at=bindparam("until"),
    )
)
_LIVE = update(sessions).where(sessions.c.revoked_at.is_(None)).values(revoked_at=bindparam("at"))
END_SESSION = _LIVE.where(sessions.c.id == bindparam("session_id"))
END_OWN_SESSION = END_SESSION.where(sessions.c.user_id == bindparam("owner"), sessions.c.expires_at > bindparam("at"))
END_SESSIONS = _LIVE.where(sessions.c.user_id == bindparam("owner"))
END_OTHER_SESSIONS = END_SESSIONS.where(sessions.c.id != bindparam("session_id"))
_NEWEST = (
    select(sessions.c.id)
    .where(sessions.c.user_id == bindparam("owner"), sessions.c.revoked_at.is_(None))
    .order_by(sessions.c.id.desc())
    .limit(bindparam("kept", type_=Integer))
)
END_OLDEST_SESSIONS = _LIVE.where(sessions.c.user_id == bindparam("owner"), sessions.c.id.not_in(_NEWEST))
FORGET_SESSIONS = delete(sessions).where(
    sessions.c.user_id == bindparam("user_id"),
    or_(sessions.c.expires_at < bindparam("before"), sessions.c.revoked_at < bindparam("before")),
)
USE_SESSION = (
    update(sessions)
    .where(sessions.c.id == bindparam("session_id"), sessions.c.last_used_at < bindparam("at"))
    .values(last_used_at=bindparam("at"))
)
SEE_GENERATION = (
    update(sessions)
    .where(sessions.c.id == bindparam("session_id"), sessions.c.seen_generation < bindparam("newest"))
    .values(seen_generation=bindparam("newest"), seen_at=bindparam("at"))
)
