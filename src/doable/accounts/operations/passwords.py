"""How passwords are asked for, changed, and replaced when they are forgotten."""

import hashlib
from datetime import timedelta
from uuid import UUID

from doable.accounts import attempts, mails
from doable.accounts.access import Actor, unauthenticated
from doable.accounts.operations.mailed import PREFIX, RESET, find_mailed, refused
from doable.accounts.schemas import PasswordChange, PasswordReset
from doable.accounts.statements import sessions, users
from doable.accounts.statements import tokens as token_statements
from doable.accounts.statements.users import Account
from doable.core import clock, passwords, text, tokens
from doable.core.db import Database
from doable.core.errors import AppException, Code, invalid_field
from doable.core.limits import Budget, Limiter
from doable.core.mail import Mailer
from doable.core.passwords import Hasher, Verified
from doable.settings import Settings

RESET_LIFETIME = timedelta(minutes=10)
RESET_BUDGET = Budget(3, 3600)
NOBODY = UUID(int=0)


def refuse_weak(password: str, *personal: str) -> None:
    reason = passwords.weakness(password, *personal)
    if reason is not None:
        raise invalid_field("body.password", reason, "password_weak")


async def compare(db: Database, hasher: Hasher, counter: bytes, password: str, stored: str | None) -> Verified:
    """Count the attempt, then hash. Raises RATE_LIMITED, without hashing, after too many."""
    await attempts.count(db, counter)
    try:
        return await hasher.verify(password, stored)
    except AppException:  # too much to hash at the moment
        await attempts.take_back(db, counter)
        raise


async def account_of(db: Database, actor: Actor) -> Account:
    account = await db.reads.first(users.ACCOUNT, user_id=actor.user_id)
    if account is None:
        raise unauthenticated()
    return account


async def confirm(db: Database, hasher: Hasher, account: Account, password: str) -> None:
    """A logged-in user has given the password again. Raises FORBIDDEN when it is wrong."""
    counter = attempts.password_counter(account.id)
    verified = await compare(db, hasher, counter, password, account.password_hash)
    if not verified.ok:
        raise AppException(Code.FORBIDDEN, "The current password is wrong.")
    async with db.transaction() as tx:
        await attempts.reset(tx, counter)


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
        locked = await tx.first(users.LOCKED_ACCOUNT, user_id=actor.user_id)
        if locked is None:
            raise unauthenticated()
        if password_changed(account, locked):
            raise AppException(Code.CONFLICT, "The password has been changed by another request just now.")
        await tx.execute(users.SET_PASSWORD, user_id=actor.user_id, hashed=hashed, at=now)
        await tx.execute(sessions.END_OTHER_SESSIONS, owner=actor.user_id, session_id=actor.session, at=now)
        await tx.execute(token_statements.WITHDRAW_MAILED_TOKEN, user_id=actor.user_id, purpose=RESET)


async def request_reset(db: Database, mailer: Mailer, limiter: Limiter, settings: Settings, email: str) -> None:
    """Mail a link, if there is such an account. For an unknown address the same statements run, and find nothing."""
    key = text.key(email)
    decision = await limiter.hit_shared(f"reset:{hashlib.sha256(key.encode()).hexdigest()}", RESET_BUDGET)
    if not decision.allowed:
        return
    token = tokens.new_token(PREFIX)
    until = clock.now() + RESET_LIFETIME
    async with db.transaction() as tx:
        account = await tx.first(users.LOCKED_ACCOUNT_BY_EMAIL, key=key)
        user_id = account.id if account else NOBODY
        await tx.execute(token_statements.WITHDRAW_MAILED_TOKEN, user_id=user_id, purpose=RESET)
        made = await tx.execute(
            token_statements.MAIL_RESET_TOKEN, user_id=user_id, secret=tokens.digest(token), until=until
        )
    if account is not None and made:
        mailer.send(mails.reset(settings, account.email, token))


async def reset_password(db: Database, hasher: Hasher, form: PasswordReset) -> None:
    """Ends all sessions. It proves the mailbox, so API tokens end too if nobody had proved it before."""
    digest = tokens.digest(form.token)
    mailed = await find_mailed(db, digest, RESET)
    account = await db.reads.first(users.ACCOUNT, user_id=mailed.user_id)
    if account is None:
        raise refused()
    refuse_weak(form.password, account.username, account.email)
    hashed = await hasher.hash(form.password)
    now = clock.now()
    async with db.transaction() as tx:
        locked = await tx.first(users.LOCKED_ACCOUNT, user_id=mailed.user_id)
        used = await tx.first(token_statements.USE_MAILED_TOKEN, digest=digest, purpose=RESET)
        if locked is None or used is None or locked.disabled_at or locked.email_key != used.email_key:
            raise refused()
        await tx.execute(users.SET_PASSWORD, user_id=locked.id, hashed=hashed, at=now)
        await tx.execute(users.VERIFY_EMAIL, user_id=locked.id, key=used.email_key, at=now)
        await tx.execute(sessions.END_SESSIONS, owner=locked.id, at=now)
        if locked.email_verified_at is None:
            await tx.execute(token_statements.DELETE_TOKENS, user_id=locked.id)
        await attempts.reset(tx, attempts.login_counter(locked.id, ""))
