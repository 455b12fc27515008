"""What users change of themselves, and how they leave."""

from typing import Any

from doable.accounts import attempts, mails
from doable.accounts.access import Actor, unauthenticated
from doable.accounts.events import UserDeleted
from doable.accounts.operations import administration, passwords, registration
from doable.accounts.operations.mailed import PREFIX, VERIFY, VERIFY_LIFETIME
from doable.accounts.schemas import ProfileUpdate
from doable.accounts.statements import sessions, users
from doable.accounts.statements import tokens as token_statements
from doable.accounts.statements.users import UserRow
from doable.core import clock, text, tokens
from doable.core.db import Database, Transaction, UniqueViolation
from doable.core.errors import invalid_field
from doable.core.mail import Mailer
from doable.core.passwords import Hasher
from doable.core.types import changes
from doable.settings import Settings


async def update(
    db: Database, hasher: Hasher, mailer: Mailer, settings: Settings, actor: Actor, form: ProfileUpdate
) -> UserRow:
    """Raises EMAIL_TAKEN, USERNAME_TAKEN. A new address is verified by a mail to it, and the old one is told."""
    sent = changes(form)
    password = sent.pop("current_password", None)
    token = None
    if "email" in sent:
        _ = actor.session
        if password is None:
            raise invalid_field("body.current_password", "A new e-mail address needs the current password.", "missing")
        await passwords.confirm(db, hasher, await passwords.account_of(db, actor), password)
        token = tokens.new_token(PREFIX)
    try:
        before, after = await _apply(db, actor, sent, token)
    except UniqueViolation as violation:
        raise registration.taken(violation) from violation
    if token is not None and after.email_verified_at is None:
        mailer.send(mails.verification(settings, after.email, token))
    if text.key(before.email) != text.key(after.email):
        mailer.send(mails.email_changed(settings, before.email))
    return after


async def delete(db: Database, hasher: Hasher, actor: Actor, password: str) -> None:
    """The row stays, as somebody who is named "deleted"; whatever could log in or be written to is gone."""
    await passwords.confirm(db, hasher, await passwords.account_of(db, actor), password)
    now = clock.now()
    async with db.transaction() as tx:
        await tx.tell(UserDeleted(user_id=actor.user_id, at=now))
        await administration.keep_an_admin(tx, actor.user_id)
        locked = await tx.first(users.LOCKED_ACCOUNT, user_id=actor.user_id)
        if locked is None:
            raise unauthenticated()
        await tx.execute(users.ERASE_USER, user_id=actor.user_id, at=now)
        await tx.execute(sessions.END_SESSIONS, owner=actor.user_id, at=now)
        await tx.execute(token_statements.DELETE_TOKENS, user_id=actor.user_id)
        await tx.execute(token_statements.DELETE_MAILED_TOKENS, user_id=actor.user_id)
        await attempts.reset(tx, attempts.login_counter(actor.user_id, ""))


async def _apply(db: Database, actor: Actor, sent: dict[str, Any], token: str | None) -> tuple[UserRow, UserRow]:
    """The user before and after. Whoever sends the address again that is not verified yet gets another mail."""
    now = clock.now()
    async with db.transaction() as tx:
        before = await tx.first(users.LOCKED_USER, user_id=actor.user_id)
        if before is None:
            raise unauthenticated()
        after = before._replace(**sent)
        if text.key(after.email) != text.key(before.email):
            after = after._replace(email_verified_at=None)
        if after != before:
            after = after._replace(updated_at=now)
            await _write(tx, after)
        if token is not None and after.email_verified_at is None:
            await tx.execute(token_statements.WITHDRAW_MAILED_TOKEN, user_id=actor.user_id, purpose=VERIFY)
            await tx.execute(
                token_statements.INSERT_MAILED_TOKEN,
                user_id=actor.user_id,
                purpose=VERIFY,
                digest=tokens.digest(token),
                email_key=text.key(after.email),
                expires_at=now + VERIFY_LIFETIME,
            )
    return before, after


async def _write(tx: Transaction, user: UserRow) -> None:
    await tx.execute(
        users.UPDATE_PROFILE,
        user_id=user.id,
        new_email=user.email,
        new_email_key=text.key(user.email),
        verified_at=user.email_verified_at,
        new_username=user.username,
        new_username_key=text.key(user.username),
        new_timezone=user.timezone,
        at=user.updated_at,
    )
