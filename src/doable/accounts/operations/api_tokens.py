"""Tokens that let programs act for a user."""

from uuid import UUID

from doable.accounts import endings
from doable.accounts.access import API_TOKEN_PREFIX, Actor, still
from doable.accounts.schemas import ApiTokenCreate
from doable.accounts.statements import tokens as statements
from doable.accounts.statements.tokens import ApiTokenRow
from doable.core import clock, ids, tokens
from doable.core.db import Database, Transaction, UniqueViolation
from doable.core.errors import AppException, Code, invalid_field, not_found
from doable.core.types import changes

MOST = 50


async def create(db: Database, actor: Actor, form: ApiTokenCreate) -> tuple[ApiTokenRow, str]:
    """The token's row, and the secret, which is shown once."""
    now = clock.now()
    sent = changes(form)
    expires_at = sent.get("expires_at")
    if expires_at is not None and expires_at <= now:
        raise invalid_field("body.expires_at", "The token would have expired already.")
    secret = tokens.new_token(API_TOKEN_PREFIX)
    row = ApiTokenRow(
        id=sent.get("id") or ids.new_id(),
        name=form.name,
        scopes=" ".join(form.scopes),
        expires_at=expires_at,
        last_used_at=None,
        created_at=now,
    )
    try:
        await _insert(db, actor, row, tokens.digest(secret))
    except UniqueViolation as violation:
        raise AppException(Code.ALREADY_EXISTS, "You have a token with this id already.") from violation
    return row, secret


async def delete(tx: Transaction, actor: Actor, token_id: UUID) -> None:
    await still(tx, actor)
    if not await tx.execute(statements.DELETE_TOKEN, token_id=token_id, user_id=actor.user_id):
        raise not_found("token")
    await endings.tell(tx, actor.user_id, clock.now(), actor.user_id)


async def _insert(db: Database, actor: Actor, row: ApiTokenRow, digest: bytes) -> None:
    async with db.transaction() as tx:
        await still(tx, actor)
        if await tx.one(statements.TOKEN_COUNT, user_id=actor.user_id) >= MOST:
            raise AppException(Code.LIMIT_REACHED, f"You have {MOST} API tokens already; delete one first.")
        await tx.execute(statements.INSERT_TOKEN, **row._asdict(), user_id=actor.user_id, digest=digest)
