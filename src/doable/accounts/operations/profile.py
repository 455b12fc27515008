"""What users change of themselves, and how they leave."""

from typing import Any

from doable.accounts import attempts, mails
from doable.accounts.access import Actor, still, unauthenticated
from doable.accounts.events import UserDeleted
from doable.accounts.operations import administration, passwords, registration
from doable.accounts.operations.mailed import PREFIX, VERIFY, VERIFY_LIFETIME, Post
from doable.accounts.schemas import ProfileUpdate
from doable.accounts.statements import sessions, users
from doable.accounts.statements import tokens as token_statements
from doable.accounts.statements.users import Account, UserRow
from doable.core import clock, text, tokens
from doable.core.db import Database, Transaction, UniqueViolation
from doable.core.errors import invalid_field
from doable.core.mailboxes import email_key, mailbox
from doable.core.passwords import Hasher
from doable.core.types import changes


async def update(db: Database, hasher: Hasher, post: Post, actor: Actor, form: ProfileUpdate) -> UserRow:
    """Raises EMAIL_TAKEN, USERNAME_TAKEN. A new address is verified by a mail to it, and a verified old one is told."""
    sent = changes(form)
    password = sent.pop("current_password", None)
    confirmed, token = None, None
    if "email" in sent:
        confirmed = await _confirmed(db, hasher, actor, password)
        token = tokens.new_token(PREFIX) if await post.may_write_to(sent["email"]) else None
    elif password is not None:
        raise invalid_field("body.current_password", "The current password goes with a new e-mail address.", "alone")
    before, after = await _apply(db, actor, sent, confirmed, token)
    if token is not None and after.email_verified_at is None:
        post.mailer.send(mails.verification(post.settings, after.email, token))
    if before.email_verified_at is not None and mailbox(before.email) != mailbox(after.email):
        post.mailer.send(mails.email_changed(post.settings, before.email))
    return after


async def delete(db: Database, hasher: Hasher, actor: Actor, password: str) -> None:
    """The row stays, as somebody who is named "deleted"; whatever could log in or be written to is gone."""
    account = await passwords.account_of(db, actor)
    await passwords.confirm(db, hasher, account, password)
    now = clock.now()
    async with db.transaction() as tx:
        # Locked before its lists are looked for, as it is when a list is made: none can appear behind us.
        await administration.keep_an_admin(tx, actor.user_id)
        await passwords.still_confirmed(tx, actor, account)
        await tx.tell(UserDeleted(user_id=actor.user_id, at=now))
        await tx.execute(users.ERASE_USER, user_id=actor.user_id, at=now)
        await tx.execute(sessions.DELETE_SESSIONS, owner=actor.user_id)
        await tx.execute(token_statements.DELETE_TOKENS, user_id=actor.user_id)
        await tx.execute(token_statements.DELETE_MAILED_TOKENS, user_id=actor.user_id)
        await attempts.reset(tx, attempts.password_counter(actor.user_id))


async def _confirmed(db: Database, hasher: Hasher, actor: Actor, password: str | None) -> Account:
    actor.need_session()
    if password is None:
        raise invalid_field("body.current_password", "A new e-mail address needs the current password.", "missing")
    account = await passwords.account_of(db, actor)
    await passwords.confirm(db, hasher, account, password)
    return account


async def _apply(
    db: Database, actor: Actor, sent: dict[str, Any], confirmed: Account | None, token: str | None
) -> tuple[UserRow, UserRow]:
    try:
        async with db.transaction() as tx:
            if confirmed is None:
                await still(tx, actor)
            else:
                await passwords.still_confirmed(tx, actor, confirmed)
            return await _change(tx, actor, sent, token)
    except UniqueViolation as violation:
        taken = violation
    user = await db.reads.first(users.USER, user_id=actor.user_id)
    if user is None:
        raise unauthenticated()
    raise await registration.taken(db, user._replace(**sent), taken) from taken


async def _change(tx: Transaction, actor: Actor, sent: dict[str, Any], token: str | None) -> tuple[UserRow, UserRow]:
    """The user before and after. Whoever sends the address again that is not verified yet gets another mail."""
    now = clock.now()
    before = await tx.one(users.LOCKED_USER, user_id=actor.user_id)
    after = before._replace(**sent)
    if mailbox(after.email) != mailbox(before.email):
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
            mailbox=mailbox(after.email),
            expires_at=now + VERIFY_LIFETIME,
        )
    return before, after


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
