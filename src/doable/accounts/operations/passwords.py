"""How passwords are asked for, changed, and replaced when they are forgotten."""

from datetime import timedelta
from uuid import UUID

from doable.accounts import attempts, endings, mails
from doable.accounts.access import Actor, still, unauthenticated
from doable.accounts.operations.mailed import PREFIX, RESET, Post, find_mailed, mark_verified, refused
from doable.accounts.schemas import PasswordChange, PasswordReset
from doable.accounts.statements import sessions, users
from doable.accounts.statements import tokens as token_statements
from doable.accounts.statements.users import Account
from doable.core import clock, passwords, text, tokens
from doable.core import post as mailing
from doable.core.db import Database, Transaction
from doable.core.errors import AppException, Code, invalid_field
from doable.core.limits import Budget
from doable.core.mailboxes import email_key, mailbox
from doable.core.passwords import Hasher

RESET_LIFETIME = timedelta(minutes=10)
RESET_BUDGET = Budget(3, 3600)
"""Resets of an address that one network may ask for, so that a stranger does not use up its owner's."""
RESET_BUDGET_EVERYWHERE = Budget(20, 3600)
NOBODY = UUID(int=0)


def refuse_weak(password: str, *personal: str) -> None:
    reason = passwords.weakness(password, *personal)
    if reason is not None:
        raise invalid_field("body.password", reason, "password_weak")


async def account_of(db: Database, actor: Actor) -> Account:
    account = await db.reads.first(users.ACCOUNT, user_id=actor.user_id)
    if account is None:
        raise unauthenticated()
    return account


async def confirm(db: Database, hasher: Hasher, account: Account, password: str) -> None:
    """A logged-in user has given the password again. Raises FORBIDDEN when it is wrong."""
    counter = attempts.password_counter(account.id)
    await attempts.count(db, counter)
    try:
        verified = await hasher.verify(password, account.password_hash)
    except AppException:  # too much to hash at the moment
        await attempts.take_back(db, counter)
        raise
    if not verified.ok:
        raise _wrong()
    async with db.transaction() as tx:
        await attempts.reset(tx, counter)


async def still_confirmed(tx: Transaction, actor: Actor, confirmed: Account) -> Account:
    """`access.still`, and the password is the one that was confirmed before this transaction began."""
    locked = await still(tx, actor)
    if password_changed(confirmed, locked):
        raise _wrong()
    return locked


def password_changed(before: Account, now: Account) -> bool:
    """Whether another password was set in between. A login that only renews the hash leaves `updated_at` alone."""
    return before.password_hash != now.password_hash and before.updated_at != now.updated_at


async def change_password(db: Database, hasher: Hasher, actor: Actor, form: PasswordChange) -> None:
    """Ends the other sessions and outstanding resets. API tokens stay: programs do not log in with the password."""
    account = await account_of(db, actor)
    refuse_weak(form.password, account.username, account.email)
    await confirm(db, hasher, account, form.current_password)
    hashed = await hasher.hash(form.password)
    now = clock.now()
    async with db.transaction() as tx:
        locked = await still(tx, actor)
        if password_changed(account, locked):
            raise AppException(Code.CONFLICT, "The password has been changed by another request just now.")
        await tx.execute(users.SET_PASSWORD, user_id=actor.user_id, hashed=hashed, at=now)
        await tx.execute(sessions.END_OTHER_SESSIONS, owner=actor.user_id, session_id=actor.need_session(), at=now)
        await tx.execute(token_statements.WITHDRAW_MAILED_TOKEN, user_id=actor.user_id, purpose=RESET)
        await endings.tell(tx, actor.user_id, now, actor.user_id)


async def request_reset(db: Database, post: Post, email: str, network: str) -> None:
    """Mail a link, if there is such an account. For an unknown address the same statements run, and find nothing."""
    here = await post.within("reset", email, RESET_BUDGET, network)
    if not here or not await post.within("reset", email, RESET_BUDGET_EVERYWHERE):
        return
    token = tokens.new_token(PREFIX)
    until = clock.now() + RESET_LIFETIME
    async with db.transaction() as tx:
        account = await tx.first(users.LOCKED_ACCOUNT_BY_EMAIL, key=email_key(email))
        user_id = account.id if account else NOBODY
        await tx.execute(token_statements.WITHDRAW_MAILED_TOKEN, user_id=user_id, purpose=RESET)
        made = await tx.execute(
            token_statements.MAIL_RESET_TOKEN,
            user_id=user_id,
            secret=tokens.digest(token),
            box=mailbox(account.email if account else email),
            until=until,
        )
        mail = mails.reset(post.settings, account.email if account else email, token)
        await mailing.write_to(tx, mail, wanted=account is not None and made > 0)


async def reset_password(db: Database, hasher: Hasher, form: PasswordReset, network: str) -> None:
    """Ends all sessions and API tokens: whoever reads the mailbox begins anew, whoever had the account before."""
    digest = tokens.digest(form.token)
    mailed = await find_mailed(db, digest, RESET)
    account = await db.reads.first(users.ACCOUNT, user_id=mailed.user_id)
    if account is None:
        raise refused()
    refuse_weak(form.password, account.username, account.email)
    hashed = await hasher.hash(form.password, share=network)
    now = clock.now()
    async with db.transaction() as tx:
        locked = await tx.first(users.LOCKED_ACCOUNT, user_id=mailed.user_id)
        used = await tx.first(token_statements.USE_MAILED_TOKEN, digest=digest, purpose=RESET)
        if locked is None or used is None or locked.disabled_at or mailbox(locked.email) != used.mailbox:
            raise refused()
        await mark_verified(tx, locked, now)
        await replace_password(tx, locked, hashed)


async def replace_password(tx: Transaction, account: Account, hashed: str) -> None:
    """Set a password for somebody who has lost it: whatever the old one has opened is closed."""
    now = clock.now()
    await tx.execute(users.SET_PASSWORD, user_id=account.id, hashed=hashed, at=now)
    await tx.execute(sessions.END_SESSIONS, owner=account.id, at=now)
    await tx.execute(token_statements.DELETE_TOKENS, user_id=account.id)
    await tx.execute(token_statements.DELETE_MAILED_TOKENS, user_id=account.id)
    for name in sorted([text.key(account.username), email_key(account.email)]):
        await attempts.reset_name(tx, name)
    await attempts.reset(tx, attempts.password_counter(account.id))
    await endings.tell(tx, account.id, now)


def _wrong() -> AppException:
    return AppException(Code.FORBIDDEN, "The current password is wrong.")
