"""What users change of themselves, and how they leave."""

from collections.abc import Iterator
from typing import Any, NamedTuple

from doable.accounts import attempts, endings, events, mails
from doable.accounts.access import Actor, still, unauthenticated
from doable.accounts.events import TimezoneChanged, UserDeleted, UserRenamed
from doable.accounts.operations import administration, passwords, registration
from doable.accounts.operations.mailed import PREFIX, VERIFY, VERIFY_LIFETIME, Post
from doable.accounts.schemas import ProfileUpdate
from doable.accounts.statements import sessions, users
from doable.accounts.statements import tokens as token_statements
from doable.accounts.statements.users import Account, UserRow
from doable.core import clock, replies, streams, text, tokens
from doable.core import events as log
from doable.core import post as mailing
from doable.core.db import Database, Transaction, UniqueViolation
from doable.core.errors import invalid_field
from doable.core.mail import Mail
from doable.core.mailboxes import email_key, mailbox
from doable.core.passwords import Hasher
from doable.core.types import changes


class Wanted(NamedTuple):
    """What users change of themselves. The `account` whose password they have shown; `token` verifies a new address."""

    sent: dict[str, Any]
    account: Account | None
    token: str | None


async def confirm(db: Database, hasher: Hasher, post: Post, actor: Actor, form: ProfileUpdate) -> Wanted:
    """A new address needs a session and the password, which is compared outside the transaction that changes it."""
    sent = changes(form)
    password = sent.pop("current_password", None)
    if "email" not in sent:
        if password is not None:
            raise invalid_field(
                "body.current_password", "The current password goes with a new e-mail address.", "alone"
            )
        return Wanted(sent, None, None)
    actor.need_session()
    if password is None:
        raise invalid_field("body.current_password", "A new e-mail address needs the current password.", "missing")
    account = await passwords.account_of(db, actor)
    await passwords.confirm(db, hasher, account, password)
    return Wanted(sent, account, tokens.new_token(PREFIX) if await post.may_write_to(sent["email"]) else None)


async def update(tx: Transaction, post: Post, actor: Actor, wanted: Wanted) -> UserRow:
    """Whoever sends the address again that is not verified yet gets another mail. For a name in use, see `taken`."""
    if wanted.account is None:
        await still(tx, actor)
    else:
        await passwords.still_confirmed(tx, actor, wanted.account)
    now = clock.now()
    before = await tx.one(users.LOCKED_USER, user_id=actor.user_id)
    after = before._replace(**wanted.sent)
    if mailbox(after.email) != mailbox(before.email):
        after = after._replace(email_verified_at=None)
    if after != before:
        after = after._replace(updated_at=now)
        await _tell(tx, before, after)
        await _write(tx, after)
        if after.timezone != before.timezone:
            await tx.tell(TimezoneChanged(after.id, before.timezone, after.timezone))
    token = wanted.token if after.email_verified_at is None else None
    if token is not None:
        await tx.execute(token_statements.WITHDRAW_MAILED_TOKEN, user_id=actor.user_id, purpose=VERIFY)
        await tx.execute(
            token_statements.INSERT_MAILED_TOKEN,
            user_id=actor.user_id,
            purpose=VERIFY,
            digest=tokens.digest(token),
            mailbox=mailbox(after.email),
            expires_at=now + VERIFY_LIFETIME,
        )
    for mail in _mails(post, before, after, token):
        await mailing.write_to(tx, mail)
    if after != before:
        await endings.tell(tx, actor.user_id, now, actor.user_id)  # his name and his zone are remembered with him
    return after


async def taken(db: Database, actor: Actor, wanted: Wanted, violation: UniqueViolation) -> Exception:
    """EMAIL_TAKEN or USERNAME_TAKEN: what `update` has run into, once its transaction is over."""
    user = await db.reads.first(users.USER, user_id=actor.user_id)
    if user is None:
        return unauthenticated()
    return await registration.taken(db, user._replace(**wanted.sent), violation)


async def delete(db: Database, hasher: Hasher, actor: Actor, password: str) -> None:
    """The row stays, as somebody who is named "deleted"; whatever could log in or be written to is gone."""
    account = await passwords.account_of(db, actor)
    await passwords.confirm(db, hasher, account, password)
    now = clock.now()
    async with db.transaction() as tx:
        # Locked before its lists are looked for, as it is when a list is made: none can appear behind us.
        await administration.keep_an_admin(tx, actor.user_id)
        await passwords.still_confirmed(tx, actor, account)
        await tx.tell(UserDeleted(user_id=actor.user_id, cause=log.operation(actor.user_id, now)))
        await log.forget(tx, actor.user_id)
        await tx.execute(users.ERASE_USER, user_id=actor.user_id, at=now)
        await tx.execute(sessions.DELETE_SESSIONS, owner=actor.user_id)
        await tx.execute(token_statements.DELETE_TOKENS, user_id=actor.user_id)
        await tx.execute(token_statements.DELETE_MAILED_TOKENS, user_id=actor.user_id)
        await mailing.forget(tx, account.email)
        await tx.execute(replies.FORGET, user_id=actor.user_id)
        await attempts.reset(tx, attempts.password_counter(actor.user_id))
        await endings.tell(tx, actor.user_id, now, actor.user_id)


async def _tell(tx: Transaction, before: UserRow, after: UserRow) -> None:
    """Before the row is written: a lock of it that excludes those who refer to it must not wait for their streams."""
    cause = log.operation(after.id, after.updated_at)
    if after.username != before.username:
        await tx.tell(UserRenamed(after.id, before.username, after.username, cause))
    revision = await streams.bump(tx, after.id)
    await log.append(tx, after.id, revision, cause._replace(at=clock.now()), events.updated())


def _mails(post: Post, before: UserRow, after: UserRow, token: str | None) -> Iterator[Mail]:
    """A new address is verified by a mail to it, and a verified old one is told."""
    if token is not None:
        yield mails.verification(post.settings, after.email, token)
    if before.email_verified_at is not None and mailbox(before.email) != mailbox(after.email):
        yield mails.email_changed(post.settings, before.email)


async def _write(tx: Transaction, user: UserRow) -> None:
    await tx.execute(
        users.UPDATE_PROFILE,
        user_id=user.id,
        new_email=user.email,
        new_email_key=email_key(user.email),
        verified_at=user.email_verified_at,
        new_username=user.username,
        new_username_key=text.key(user.username),
        new_timezone=user.timezone,
        at=user.updated_at,
    )
