"""What can be asked about the members of a list; permission is part of every statement."""

from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import Select, bindparam, delete, select, update

from doable.accounts.tables import users
from doable.core.pages import Order, listing
from doable.core.queries import Query, query
from doable.lists.tables import lists, members


class MemberRow(NamedTuple):
    """A member, and the role of whoever asked."""

    list_id: UUID
    user_id: UUID
    username: str
    email: str
    email_verified_at: datetime | None
    role: str
    joined_at: datetime
    actor_role: str


_mine = members.alias("mine")


def members_of_lists_of_actor() -> Select[*tuple[Any, ...]]:
    """The members of every list that `actor_id` is a member of, the deleted ones too."""
    return (
        select(
            members.c.list_id,
            members.c.user_id,
            users.c.username,
            users.c.email,
            users.c.email_verified_at,
            members.c.role,
            members.c.joined_at,
            _mine.c.role.label("actor_role"),
        )
        .join_from(members, users, users.c.id == members.c.user_id)
        .join(_mine, _mine.c.list_id == members.c.list_id)
        .where(_mine.c.user_id == bindparam("actor_id"))
    )


_VISIBLE = (
    members_of_lists_of_actor()
    .join(lists, lists.c.id == members.c.list_id)
    .where(members.c.list_id == bindparam("list_id"), lists.c.deleted_at.is_(None))
)
MEMBERS = listing(
    "members",
    MemberRow,
    _VISIBLE,
    Order("joined_at", members.c.joined_at),
    Order("user_id", members.c.user_id),
)
MEMBER: Query[MemberRow] = query(MemberRow, _VISIBLE.where(members.c.user_id == bindparam("user_id")))
MEMBERSHIPS: Query[MemberRow] = query(
    MemberRow, members_of_lists_of_actor().where(members.c.user_id == bindparam("actor_id"))
)
"""Those of `actor_id`, in deleted lists too."""

SET_ROLE = (
    update(members)
    .where(members.c.list_id == bindparam("home_id"), members.c.user_id == bindparam("member_id"))
    .values(role=bindparam("new_role"))
)
DELETE_MEMBER = delete(members).where(
    members.c.list_id == bindparam("list_id"), members.c.user_id == bindparam("user_id")
)
