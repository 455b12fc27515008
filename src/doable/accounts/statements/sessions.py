"""Sessions and their chains of refresh tokens.

An UPDATE cannot have a parameter named like a column of its table, so a session's user is `owner` there.
"""

from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import Integer, bindparam, delete, insert, or_, select, update

from doable.accounts.tables import sessions, users
from doable.core.pages import Order, listing
from doable.core.queries import Query, query, scalar


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
    grandparent_hash: bytes | None
    grandparent_replaced_at: datetime | None
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
        sessions.c.grandparent_hash,
        sessions.c.grandparent_replaced_at,
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
        grandparent_hash=sessions.c.previous_hash,
        grandparent_replaced_at=bindparam("replaced_at"),
        previous_hash=sessions.c.refresh_hash,
        refresh_hash=bindparam("successor"),
        rotation_salt=bindparam("salt"),
        generation=sessions.c.generation + 1,
        rotated_at=bindparam("at"),
        last_used_at=bindparam("at"),
        expires_at=bindparam("until"),
    )
)
_OWN = select(sessions.c.id).where(sessions.c.user_id == bindparam("owner"))
# Rows are locked in the order of ids, as `last_used` does, so that the two cannot wait for each other.
_LOCKED_LIVE = _OWN.where(sessions.c.revoked_at.is_(None)).order_by(sessions.c.id).with_for_update()
_LIVE = update(sessions).where(sessions.c.revoked_at.is_(None)).values(revoked_at=bindparam("at"))
_END_SESSION = _LIVE.where(sessions.c.id == bindparam("session_id"))
END_SESSION: Query[UUID] = query(scalar, _END_SESSION.returning(sessions.c.user_id))
END_OWN_SESSION = _END_SESSION.where(sessions.c.user_id == bindparam("owner"), sessions.c.expires_at > bindparam("at"))
END_SESSIONS = _LIVE.where(sessions.c.id.in_(_LOCKED_LIVE))
END_OTHER_SESSIONS = END_SESSIONS.where(sessions.c.id != bindparam("session_id"))
_NEWEST = (
    _OWN.where(sessions.c.revoked_at.is_(None)).order_by(sessions.c.id.desc()).limit(bindparam("kept", type_=Integer))
)
END_OLDEST_SESSIONS = END_SESSIONS.where(sessions.c.id.not_in(_NEWEST))
DELETE_SESSIONS = delete(sessions).where(sessions.c.id.in_(_OWN.order_by(sessions.c.id).with_for_update()))
_OVER = or_(sessions.c.expires_at < bindparam("before"), sessions.c.revoked_at < bindparam("before"))
FORGET_SESSIONS = delete(sessions).where(sessions.c.user_id == bindparam("user_id"), _OVER)
# A session lives for thirty days at most unless it is refreshed: whichever ended that long ago has expired as well.
SWEEP_SESSIONS = delete(sessions).where(
    sessions.c.id.in_(
        select(sessions.c.id)
        .where(sessions.c.expires_at <= bindparam("at"), _OVER)
        .order_by(sessions.c.id)
        .limit(bindparam("most", type_=Integer))
        .with_for_update(skip_locked=True)
    )
)
# Whoever collects uses waits for nobody, and so for nobody who waits for him; what he passes over is noted again.
_FREE = select(sessions.c.id).where(sessions.c.id == bindparam("session_id")).with_for_update(skip_locked=True)
USE_SESSION = (
    update(sessions)
    .where(sessions.c.id.in_(_FREE), sessions.c.last_used_at < bindparam("at"))
    .values(last_used_at=bindparam("at"))
)
SEE_GENERATION = (
    update(sessions)
    .where(sessions.c.id.in_(_FREE), sessions.c.seen_generation < bindparam("newest"))
    .values(seen_generation=bindparam("newest"), seen_at=bindparam("at"))
)
