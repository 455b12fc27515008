"""Secrets that prove, once, that a mailbox is read: how they are looked up, and how an address is verified."""

import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import NamedTuple

from doable.accounts import endings, events
from doable.accounts.statements import tokens as token_statements
from doable.accounts.statements import users
from doable.accounts.statements.tokens import MailedToken
from doable.accounts.statements.users import Account
from doable.core import clock, tokens
from doable.core import events as log
from doable.core.db import Database, DatabaseError, OutcomeUnknown, Transaction
from doable.core.errors import AppException, invalid_field
from doable.core.limits import Budget, Limiter
from doable.core.mailboxes import email_key, mailbox
from doable.settings import Settings

PREFIX = "dbm_"
RESET = "reset"
VERIFY = "verify"
VERIFY_LIFETIME = timedelta(hours=24)
MAIL_BUDGET = Budget(5, 3600)
"""Mails that strangers can have sent to one address."""


class Post(NamedTuple):
    """What it takes to write to people: budgets, and what mails say of the server."""

    limiter: Limiter
    settings: Settings

    async def may_write_to(self, email: str) -> bool:
        """Counts one mail to an address at which anybody may point; not for what only its reader can bring about."""
        return await self.within("mail", email, MAIL_BUDGET)

    @asynccontextmanager
    async def counted(self, email: str, *, wanted: bool = True) -> AsyncIterator[bool]:
        """The same around what has it sent: where the database fails, nothing was, and it will be tried again."""
        may_write = wanted and await self.may_write_to(email)
        try:
            yield may_write
        except DatabaseError as error:
            if may_write and not isinstance(error, OutcomeUnknown):
                self.limiter.give_back(_key("mail", email), MAIL_BUDGET)
            raise

    async def within(self, kind: str, email: str, budget: Budget, network: str = "") -> bool:
        return (await self.limiter.hit_shared(_key(kind, email, network), budget)).allowed


def _key(kind: str, email: str, network: str = "") -> str:
    return f"{kind}:{network}:{hashlib.sha256(email_key(email).encode()).hexdigest()}"


async def find_mailed(db: Database, digest: bytes, purpose: str) -> MailedToken:
    """Raises a 422 for what was never sent, is used, replaced or too old."""
    mailed = await db.reads.first(token_statements.MAILED_TOKEN, digest=digest, purpose=purpose)
    if mailed is None or mailed.expires_at <= clock.now():
        raise refused()
    return mailed


def refused() -> AppException:
    return invalid_field("body.token", "This link is no longer valid; ask for a new one.", "token_invalid")


async def verify_email(db: Database, token: str) -> None:
    """Who reads the mails need not be who registered: programs of the time before are out.

    Sessions stay, as the two are nearly always one person, who has just logged in; a reset ends them as well.
    """
    digest = tokens.digest(token)
    mailed = await find_mailed(db, digest, VERIFY)
    now = clock.now()
    async with db.transaction() as tx:
        account = await tx.first(users.LOCKED_ACCOUNT, user_id=mailed.user_id)
        used = await tx.first(token_statements.USE_MAILED_TOKEN, digest=digest, purpose=VERIFY)
        if account is None or used is None or account.disabled_at or mailbox(account.email) != used.mailbox:
            raise refused()
        if account.email_verified_at is None:
            await tx.execute(token_statements.DELETE_TOKENS, user_id=account.id)
        await mark_verified(tx, account, now)
        await endings.tell(tx, account.id, now, account.id)


async def mark_verified(tx: Transaction, account: Account, now: datetime) -> None:
    if account.email_verified_at is None:
        await log.add(tx, account.id, log.operation(account.id, now), events.updated())
    await tx.execute(users.VERIFY_EMAIL, user_id=account.id, at=now)
