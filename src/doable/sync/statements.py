"""What is asked of lists as a whole. Nothing here executes; permission is part of every statement."""

from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import Integer, bindparam, select

from doable.accounts.tables import users
from doable.core.queries import Query, query
from doable.core.streams import streams
from doable.lists.statements import ListRow, lists_of_actor
from doable.lists.tables import lists, members
from doable.todos.statements import TodoRow, todos_of_actor
from doable.todos.tables import todos


class Positioned(NamedTuple):
    """A list and the revision of its stream."""

    row: ListRow
    revision: int


class MemberRow(NamedTuple):
    user_id: UUID
    username: str
    role: str
    joined_at: datetime


LISTS: Query[Positioned] = Query(
    lambda row: Positioned(ListRow._make(row[:-1]), row[-1]),
    lists_of_actor()
    .join(streams, streams.c.id == lists.c.id)
    .add_columns(streams.c.revision)
    .where(lists.c.deleted_at.is_(None))
    .order_by(lists.c.id),
)
"""All that `actor_id` may see, the archived ones too."""

MEMBERS: Query[MemberRow] = query(
    MemberRow,
    select(members.c.user_id, users.c.username, members.c.role, members.c.joined_at)
    .join_from(members, users, users.c.id == members.c.user_id)
    .where(
        members.c.list_id == bindparam("list_id"),
        bindparam("actor_id", type_=members.c.user_id.type).in_(
            select(members.c.user_id).where(members.c.list_id == bindparam("list_id"))
        ),
    )
    .order_by(members.c.user_id),
)

TODOS: Query[TodoRow] = query(
    TodoRow,
    todos_of_actor()
    .where(todos.c.list_id == bindparam("list_id"), todos.c.deleted_at.is_(None), todos.c.id > bindparam("after"))
    .order_by(todos.c.id)
    .limit(bindparam("most", type_=Integer)),
)
"""Of one list, outside the trash, in the order of ids, which nothing changes."""
