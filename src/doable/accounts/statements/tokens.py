"""API tokens, and secrets sent by mail."""

from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import Integer, bindparam, delete, func, insert, literal, or_, select, update

from doable.accounts.tables import api_tokens, mailed_tokens, users
from doable.core.pages import Order, listing
from doable.core.queries import Query, query, scalar


class ApiTokenRow(NamedTuple):
    id: UUID
    name: str
    scopes: str
    expires_at: datetime | None
    last_used_at: datetime | None
    created_at: datetime


API_TOKENS = listing(
    "api_tokens",
    ApiTokenRow,
    select(
        api_tokens.c.id,
        api_tokens.c.name,
        api_tokens.c.scopes,
        api_tokens.c.expires_at,
        api_tokens.c.last_used_at,
        api_tokens.c.created_at,
    ).where(api_tokens.c.user_id == bindparam("user_id")),
    Order("id", api_tokens.c.id, descending=True),
)
TOKEN_COUNT: Query[int] = query(
    scalar,
    select(func.count().label("count")).select_from(api_tokens).where(api_tokens.c.user_id == bindparam("user_id")),
)
INSERT_TOKEN = insert(api_tokens)
DELETE_TOKEN = delete(api_tokens).where(
    api_tokens.c.id == bindparam("token_id"), api_tokens.c.user_id == bindparam("user_id")
)
DELETE_TOKENS = delete(api_tokens).where(
    api_tokens.c.user_id == bindparam("user_id"),
    # Locked in the order of ids, as `last_used` does, so that the two cannot wait for each other.
    api_tokens.c.id.in_(
        select(api_tokens.c.id)
        .where(api_tokens.c.user_id == bindparam("user_id"))
        .order_by(api_tokens.c.id)
        .with_for_update()
    ),
)
USE_TOKEN = (
    update(api_tokens)
    .where(
        api_tokens.c.user_id == bindparam("owner"),
        api_tokens.c.id == bindparam("token_id"),
        or_(api_tokens.c.last_used_at.is_(None), api_tokens.c.last_used_at < bindparam("at")),
    )
    .values(last_used_at=bindparam("at"))
)


class MailedToken(NamedTuple):
    user_id: UUID
    mailbox: str
    expires_at: datetime


MAILED_TOKEN = query(
    MailedToken,
    select(mailed_tokens.c.user_id, mailed_tokens.c.mailbox, mailed_tokens.c.expires_at).where(
        mailed_tokens.c.digest == bindparam("digest"), mailed_tokens.c.purpose == bindparam("purpose")
    ),
)
WITHDRAW_MAILED_TOKEN = delete(mailed_tokens).where(
    mailed_tokens.c.user_id == bindparam("user_id"), mailed_tokens.c.purpose == bindparam("purpose")
)
INSERT_MAILED_TOKEN = insert(mailed_tokens)
MAIL_RESET_TOKEN = insert(mailed_tokens).from_select(
    ["user_id", "purpose", "digest", "mailbox", "expires_at"],
    select(
        users.c.id,
        literal("reset"),
        bindparam("secret", type_=mailed_tokens.c.digest.type),
        bindparam("box", type_=mailed_tokens.c.mailbox.type),
        bindparam("until", type_=mailed_tokens.c.expires_at.type),
    ).where(users.c.id == bindparam("user_id"), users.c.deleted_at.is_(None), users.c.disabled_at.is_(None)),
)
USE_MAILED_TOKEN = query(
    MailedToken,
    delete(mailed_tokens)
    .where(mailed_tokens.c.digest == bindparam("digest"), mailed_tokens.c.purpose == bindparam("purpose"))
    .returning(mailed_tokens.c.user_id, mailed_tokens.c.mailbox, mailed_tokens.c.expires_at),
)
DELETE_MAILED_TOKENS = delete(mailed_tokens).where(mailed_tokens.c.user_id == bindparam("user_id"))
SWEEP_MAILED_TOKENS = delete(mailed_tokens).where(
    mailed_tokens.c.digest.in_(
        select(mailed_tokens.c.digest)
        .where(mailed_tokens.c.expires_at < bindparam("before"))
        .order_by(mailed_tokens.c.digest)
        .limit(bindparam("most", type_=Integer))
        .with_for_update(skip_locked=True)
    )
)
