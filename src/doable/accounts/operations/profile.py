"""What users change of themselves, and how they leave."""

from collections.abc import Iterator
from typing import Any, NamedTuple

from doable.accounts import attempts, mails
from doable.accounts.access import Actor, unauthenticated
from doable.accounts.events import UserDeleted
from doable.accounts.operations import administration, passwords, registration
from doable.accounts.operations.mailed import PREFIX, VERIFY, VERIFY_LIFETIME
from doable.accounts.schemas import ProfileUpdate
from doable.accounts.statements import sessions, users
from doable.accounts.statements import tokens as token_statements
from doable.accounts.statements.users import UserRow
from doable.core import clock, replies, text, tokens
from doable.core.db import Database, Transaction, UniqueViolation
from doable.core.errors import invalid_field
from doable.core.mail import Mail
from doable.core.passwords import Hasher
from doable.core.types import changes
from doable.settings import Settings


class Confirmed(NamedTuple):
    """What a user changes of himself, once he has shown that he may. `token` verifies a new address."""

    sent: dict[str, Any]
    token: str | None


class Change(NamedTuple):
    before: UserRow
    after: UserRow
    token: str | None


async def confirm(db: Database, hasher: Hasher, actor: Actor, form: ProfileUpdate) -> Confirmed:
    """A new address needs a session and the password, which is compared outside the transaction that changes it."""
    sent = changes(form)
    password = sent.pop("current_password", None)
    if "email" not in sent:
        return Confirmed(sent, None)
    _ = actor.session
    if password is None:
        raise invalid_field("body.current_password", "A new e-mail address needs the current password.", "missing")
    await passwords.confirm(db, hasher, await passwords.account_of(db, actor), password)
    return Confirmed(sent, tokens.new_token(PREFIX))


async def update(tx: Transaction, actor: Actor, confirmed: Confirmed) -> Change:
    """Raises EMAIL_TAKEN, USERNAME_TAKEN. Whoever sends an address that is not verified yet gets another mail."""
    before = await tx.first(users.LOCKED_USER, user_id=actor.user_id)
    if before is None:
        raise unauthenticated()
    after = before._replace(**confirmed.sent)
    now = clock.now()
    if text.key(after.email) != text.key(before.email):
        after = after._replace(email_verified_at=None)
    if after != before:
        after = after._replace(updated_at=now)
        try:
            await _write(tx, after)
        except UniqueViolation as violation:
            raise registration.taken(violation) from violation
    token = confirmed.token if after.email_verified_at is None else None
    if token is not None:
        await tx.execute(token_statements.WITHDRAW_MAILED_TOKEN, user_id=actor.user_id, purpose=VERIFY)
        await tx.execute(
            token_statements.INSERT_MAILED_TOKEN,
            user_id=actor.user_id,
            purpose=VERIFY,
            digest=tokens.digest(token),
            email_key=text.key(after.email),
            expires_at=now + VERIFY_LIFETIME,
        )
    return Change(before, after, token)


def mails_about(settings: Settings, change: Change) -> Iterator[Mail]:
    """A new address is verified by a mail to it, and the old one is told. For after the commit."""
    if change.token is not None:
        yield mails.verification(settings, change.after.email, change.token)
    if text.key(change.before.email) != text.key(change.after.email):
        yield mails.email_changed(settings, change.before.email)


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
        await tx.execute(replies.FORGET, user_id=actor.user_id)
        await attempts.reset(tx, attempts.login_counter(actor.user_id, ""))


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
