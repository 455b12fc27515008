"""Secrets that prove, once, that a mailbox is read: how they are looked up, and how an address is verified."""

from datetime import timedelta

from doable.accounts.statements import tokens as token_statements
from doable.accounts.statements import users
from doable.accounts.statements.tokens import MailedToken
from doable.core import clock, tokens
from doable.core.db import Database
from doable.core.errors import AppException, invalid_field

PREFIX = "dbm_"
RESET = "reset"
VERIFY = "verify"
VERIFY_LIFETIME = timedelta(hours=24)


async def find_mailed(db: Database, digest: bytes, purpose: str) -> MailedToken:
    """Raises a 422 for what was never sent, is used, replaced or too old."""
    mailed = await db.reads.first(token_statements.MAILED_TOKEN, digest=digest, purpose=purpose)
    if mailed is None or mailed.expires_at <= clock.now():
        raise refused()
    return mailed


def refused() -> AppException:
    return invalid_field("body.token", "This link is no longer valid; ask for a new one.", "token_invalid")


async def verify_email(db: Database, token: str) -> None:
    digest = tokens.digest(token)
    mailed = await find_mailed(db, digest, VERIFY)
    now = clock.now()
    async with db.transaction() as tx:
        account = await tx.first(users.LOCKED_ACCOUNT, user_id=mailed.user_id)
        used = await tx.first(token_statements.USE_MAILED_TOKEN, digest=digest, purpose=VERIFY)
        if account is None or used is None or account.disabled_at or account.email_key != used.email_key:
            raise refused()
        await tx.execute(users.VERIFY_EMAIL, user_id=account.id, key=used.email_key, at=now)
