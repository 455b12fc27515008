"""What can be asked about digests, and done to them."""

from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import Integer, bindparam, delete, select, update
from sqlalchemy.dialects.postgresql import insert  # SQLite's ON CONFLICT is the same text

from doable.accounts.tables import users
from doable.core.queries import Query, query, scalar
from doable.digests.tables import digests


class SettingRow(NamedTuple):
    at: str
    next_at: datetime


class DigestRow(NamedTuple):
    """A digest that is due, and the zone of its reader."""

    user_id: UUID
    at: str
    timezone: str


class ReaderRow(NamedTuple):
    """Somebody who wants a digest and whose address is proved."""

    email: str
    timezone: str


TIMEZONE: Query[str] = query(scalar, select(users.c.timezone).where(users.c.id == bindparam("user_id")))
AT: Query[str | None] = query(scalar, select(digests.c.at).where(digests.c.user_id == bindparam("user_id")))
SETTING: Query[SettingRow] = query(
    SettingRow,
    select(digests.c.at, digests.c.next_at).where(digests.c.user_id == bindparam("user_id")).with_for_update(),
)
_NEW = insert(digests)
SET = _NEW.on_conflict_do_update(
    index_elements=[digests.c.user_id], set_={"at": _NEW.excluded.at, "next_at": _NEW.excluded.next_at}
)
DELETE = delete(digests).where(digests.c.user_id == bindparam("person_id"))
MOVE = (
    update(digests)
    .where(digests.c.user_id == bindparam("person_id"))
    .values(next_at=bindparam("new_next_at", type_=digests.c.next_at.type))
)
DUE: Query[DigestRow] = query(
    DigestRow,
    select(digests.c.user_id, digests.c.at, users.c.timezone)
    .join_from(digests, users, users.c.id == digests.c.user_id)
    .where(digests.c.next_at <= bindparam("now"))
    .order_by(digests.c.user_id)
    .limit(bindparam("most", type_=Integer))
    .with_for_update(of=digests, skip_locked=True),
)
READER: Query[ReaderRow] = query(
    ReaderRow,
    select(users.c.email, users.c.timezone)
    .join_from(digests, users, users.c.id == digests.c.user_id)
    .where(
        digests.c.user_id == bindparam("user_id"), users.c.email_verified_at.is_not(None), users.c.disabled_at.is_(None)
    ),
)
