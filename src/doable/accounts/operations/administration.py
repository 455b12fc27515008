"""What administrators, and those at the command line, may do to users."""

from uuid import UUID

from doable.accounts import endings, events
from doable.accounts.access import Actor, not_admin, still
from doable.accounts.operations import passwords
from doable.accounts.statements import sessions, users
from doable.accounts.statements.users import Account, UserRow
from doable.core import clock, text
from doable.core import events as log
from doable.core.db import Database, Transaction
from doable.core.errors import AppException, Code, not_found
from doable.core.mailboxes import email_key
from doable.core.passwords import Hasher


async def list_users(db: Database) -> list[UserRow]:
    return await db.reads.all(users.ALL_USERS)


async def find(db: Database, login: str) -> Account:
    """By e-mail address or username."""
    if "@" in text.key(login):
        account = await db.reads.first(users.ACCOUNT_BY_EMAIL, key=email_key(login))
    else:
        account = await db.reads.first(users.ACCOUNT_BY_USERNAME, key=text.key(login))
    if account is None:
        raise not_found("user")
    return account


async def change_standing(
    tx: Transaction,
    user_id: UUID,
    *,
    actor: Actor | None = None,
    is_admin: bool | None = None,
    disabled: bool | None = None,
) -> UserRow:
    """Promote, demote, disable, enable. A disabled user's sessions end at once. The last administrator stays one.

    `actor`: the administrator who does it; nobody at the command line. All administrators are locked, in one order,
    before anybody else, so that two who change one another take turns.
    """
    now = clock.now()
    admins = await tx.all(users.LOCKED_ADMINS)
    if actor is not None and not (await still(tx, actor)).is_admin:
        raise not_admin()
    if is_admin is False or disabled is True:
        _refuse_last(admins, user_id)
    before = await tx.first(users.LOCKED_USER, user_id=user_id)
    if before is None:
        raise not_found("user")
    after = before
    if is_admin is not None:
        after = after._replace(is_admin=is_admin)
    if disabled is not None:
        after = after._replace(disabled_at=(before.disabled_at or now) if disabled else None)
    if after == before:
        return before
    after = after._replace(updated_at=now)
    await log.add(tx, user_id, log.operation(actor.user_id if actor else None, now), events.updated())
    await tx.execute(users.UPDATE_STANDING, user_id=user_id, admin=after.is_admin, disabled=after.disabled_at, at=now)
    if after.disabled_at is not None:
        await tx.execute(sessions.END_SESSIONS, owner=user_id, at=now)
    await endings.tell(tx, user_id, now, actor.user_id if actor else None)
    return after


async def set_password(db: Database, hasher: Hasher, account: Account, password: str) -> None:
    """For somebody who has lost it. Ends all sessions and API tokens."""
    passwords.refuse_weak(password, account.username, account.email)
    hashed = await hasher.hash(password)
    async with db.transaction() as tx:
        locked = await tx.first(users.LOCKED_ACCOUNT, user_id=account.id)
        if locked is None:
            raise not_found("user")
        await passwords.replace_password(tx, locked, hashed)


async def keep_an_admin(tx: Transaction, leaving: UUID) -> None:
    """Raises CONFLICT if there would be no administrator without this one. Holds all of them until the end."""
    _refuse_last(await tx.all(users.LOCKED_ADMINS), leaving)


def _refuse_last(admins: list[UUID], leaving: UUID) -> None:
    if admins == [leaving]:
        raise AppException(Code.CONFLICT, "This is the last administrator; make somebody else one first.")
