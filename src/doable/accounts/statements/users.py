"""Users: what is shown of them, what the checks of a password need, and how they change."""

from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import bindparam, insert, select, update

from doable.accounts.tables import users
from doable.core.pages import Order, listing
from doable.core.queries import Query, query, scalar


class UserRow(NamedTuple):
    id: UUID
    email: str
    username: str
    email_verified_at: datetime | None
    timezone: str
    is_admin: bool
    inbox_id: UUID
    disabled_at: datetime | None
    created_at: datetime
    updated_at: datetime


class Account(NamedTuple):
    """What the checks of a password need."""

    id: UUID
    email: str
    email_key: str | None
    username: str
    password_hash: str | None
    email_verified_at: datetime | None
    disabled_at: datetime | None
    is_admin: bool
    updated_at: datetime


_USER = select(
    users.c.id,
    users.c.email,
    users.c.username,
    users.c.email_verified_at,
    users.c.timezone,
    users.c.is_admin,
    users.c.inbox_id,
    users.c.disabled_at,
    users.c.created_at,
    users.c.updated_at,
).where(users.c.deleted_at.is_(None))
_ACCOUNT = select(
    users.c.id,
    users.c.email,
    users.c.email_key,
    users.c.username,
    users.c.password_hash,
    users.c.email_verified_at,
    users.c.disabled_at,
    users.c.is_admin,
    users.c.updated_at,
).where(users.c.deleted_at.is_(None))

USER = query(UserRow, _USER.where(users.c.id == bindparam("user_id")))
ALL_USERS = query(UserRow, _USER.order_by(users.c.id))
USERS = listing("users", UserRow, _USER, Order("id", users.c.id))
ACCOUNT = query(Account, _ACCOUNT.where(users.c.id == bindparam("user_id")))
ACCOUNT_BY_EMAIL = query(Account, _ACCOUNT.where(users.c.email_key == bindparam("key")))
ACCOUNT_BY_USERNAME = query(Account, _ACCOUNT.where(users.c.username_key == bindparam("key")))

# A lock that lets rows which refer to the user come and go: foreign keys hold a weaker one.
LOCKED_USER = query(UserRow, _USER.where(users.c.id == bindparam("user_id")).with_for_update(key_share=True))
LOCKED_ACCOUNT = query(Account, _ACCOUNT.where(users.c.id == bindparam("user_id")).with_for_update(key_share=True))
LOCKED_ACCOUNT_BY_EMAIL = query(
    Account, _ACCOUNT.where(users.c.email_key == bindparam("key")).with_for_update(key_share=True)
)
LOCKED_ADMINS: Query[UUID] = query(
    scalar,
    select(users.c.id)
    .where(users.c.is_admin, users.c.disabled_at.is_(None), users.c.deleted_at.is_(None))
    .order_by(users.c.id)
    .with_for_update(key_share=True),
)

INSERT_USER = insert(users)
SET_PASSWORD = (
    update(users)
    .where(users.c.id == bindparam("user_id"))
    .values(password_hash=bindparam("hashed"), updated_at=bindparam("at"))
)
REHASH_PASSWORD = (
    update(users)
    .where(users.c.id == bindparam("user_id"), users.c.password_hash == bindparam("old"))
    .values(password_hash=bindparam("hashed"))
)
VERIFY_EMAIL = update(users).where(users.c.id == bindparam("user_id")).values(email_verified_at=bindparam("at"))
UPDATE_PROFILE = (
    update(users)
    .where(users.c.id == bindparam("user_id"))
    .values(
        email=bindparam("new_email"),
        email_key=bindparam("new_email_key"),
        email_verified_at=bindparam("verified_at"),
        username=bindparam("new_username"),
        username_key=bindparam("new_username_key"),
        timezone=bindparam("new_timezone"),
        updated_at=bindparam("at"),
    )
)
UPDATE_STANDING = (
    update(users)
    .where(users.c.id == bindparam("user_id"))
    .values(is_admin=bindparam("admin"), disabled_at=bindparam("disabled"), updated_at=bindparam("at"))
)
ERASE_USER = (
    update(users)
    .where(users.c.id == bindparam("user_id"))
    .values(
        email="",
        email_key=None,
        username="deleted",
        username_key=None,
        password_hash=None,
        email_verified_at=None,
        is_admin=False,
        deleted_at=bindparam("at"),
        updated_at=bindparam("at"),
    )
)
