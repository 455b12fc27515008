"""Tickets, which open a room once, and which of the credentials that have opened one are still good."""

from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import Integer, bindparam, delete, insert, or_, select

from doable.accounts.tables import api_tokens, sessions, tickets, users
from doable.core.queries import Query, query, scalar


class TicketRow(NamedTuple):
    user_id: UUID
    session_id: UUID | None
    token_id: UUID | None
    expires_at: datetime


INSERT_TICKET = insert(tickets)
TICKET_EXISTS: Query[datetime] = query(
    scalar, select(tickets.c.expires_at).where(tickets.c.digest == bindparam("digest"))
)
USE_TICKET = query(
    TicketRow,
    delete(tickets)
    .where(tickets.c.digest == bindparam("digest"))
    .returning(tickets.c.user_id, tickets.c.session_id, tickets.c.token_id, tickets.c.expires_at),
)
SWEEP_TICKETS = delete(tickets).where(
    tickets.c.digest.in_(
        select(tickets.c.digest)
        .where(tickets.c.expires_at < bindparam("before"))
        .limit(bindparam("most", type_=Integer))
        .with_for_update(skip_locked=True)
    )
)

_USABLE = users.c.disabled_at.is_(None) & users.c.deleted_at.is_(None)
LIVE_SESSIONS: Query[UUID] = query(
    scalar,
    select(sessions.c.id)
    .join(users, users.c.id == sessions.c.user_id)
    .where(
        sessions.c.id.in_(bindparam("session_ids", expanding=True)),
        sessions.c.revoked_at.is_(None),
        sessions.c.expires_at > bindparam("at"),
        _USABLE,
    ),
)
LIVE_TOKENS: Query[tuple[UUID, UUID]] = query(
    lambda user_id, token_id: (user_id, token_id),
    select(api_tokens.c.user_id, api_tokens.c.id.label("token_id"))
    .join(users, users.c.id == api_tokens.c.user_id)
    .where(
        api_tokens.c.user_id.in_(bindparam("user_ids", expanding=True)),
        or_(api_tokens.c.expires_at.is_(None), api_tokens.c.expires_at > bindparam("at")),
        _USABLE,
    ),
)
