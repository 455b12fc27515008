"""What becomes of lists and memberships when something happens to a person."""

from uuid import UUID

from sqlalchemy import Integer, bindparam, delete, exists, select, update

from doable.core.events import events
from doable.core.queries import Query, query, scalar
from doable.lists.tables import lists, members

OWNED_AND_SHARED: Query[UUID] = query(
    scalar,
    select(lists.c.id)
    .where(
        lists.c.owner_id == bindparam("actor_id"),
        lists.c.deleted_at.is_(None),
        exists().where(members.c.list_id == lists.c.id, members.c.user_id != lists.c.owner_id),
    )
    .order_by(lists.c.id),
)

ABANDON = (
    update(lists)
    .where(lists.c.owner_id == bindparam("actor_id"))
    .values(deleted_at=bindparam("long_ago", type_=lists.c.deleted_at.type))
)
OF_OWNER: Query[UUID] = query(
    scalar,
    select(lists.c.id)
    .where(lists.c.owner_id == bindparam("owner"), lists.c.deleted_at < bindparam("before"))
    .order_by(lists.c.id)
    .limit(bindparam("most", type_=Integer)),
)
DELETE_MEMBERSHIPS = delete(members).where(members.c.user_id == bindparam("actor_id"))
ERASE_NAME = (
    update(events)
    .where(events.c.subject_id == bindparam("person_id"), events.c.kind.in_(("member.added", "member.updated")))
    .values(data=bindparam("nameless"))
)
"""Events stay, with no more in them than whom they are about."""
