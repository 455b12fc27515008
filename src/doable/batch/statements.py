"""Where the todos of a batch are. Nothing here executes; permission is part of every statement."""

from typing import NamedTuple
from uuid import UUID

from sqlalchemy import bindparam, select

from doable.core.queries import Query, query
from doable.lists.tables import members
from doable.todos.tables import todos


class Home(NamedTuple):
    todo_id: UUID
    list_id: UUID


HOMES: Query[Home] = query(
    Home,
    select(todos.c.id.label("todo_id"), todos.c.list_id)
    .join_from(todos, members, members.c.list_id == todos.c.list_id)
    .where(
        todos.c.id.in_(bindparam("todo_ids", expanding=True)),
        members.c.user_id == bindparam("actor_id"),
    ),
)
"""The lists of those of `todo_ids` that `actor_id` may see."""
