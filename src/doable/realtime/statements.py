"""What can be asked about the streams that a person may follow."""

from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import bindparam, select

from doable.core.queries import Query, query
from doable.core.streams import streams
from doable.lists.tables import lists, members


class Membership(NamedTuple):
    list_id: UUID
    deleted_at: datetime | None
    revision: int


_MEMBERSHIPS = (
    select(lists.c.id.label("list_id"), lists.c.deleted_at, streams.c.revision)
    .join_from(lists, members, members.c.list_id == lists.c.id)
    .join(streams, streams.c.id == lists.c.id)
    .where(members.c.user_id == bindparam("actor_id"))
)
MEMBERSHIPS: Query[Membership] = query(Membership, _MEMBERSHIPS)
MEMBERSHIP: Query[Membership] = query(Membership, _MEMBERSHIPS.where(lists.c.id == bindparam("list_id")))
"""Both name the position of a list at which `actor_id` was a member of it."""
