"""Where a batch will write. Nothing here executes; permission is part of every statement."""

from uuid import UUID

from sqlalchemy import bindparam, or_, select

from doable.core.queries import Query, query, scalar
from doable.lists.access import WRITERS
from doable.lists.tables import members
from doable.todos.tables import todos

_OF_TODOS = select(todos.c.list_id).where(todos.c.id.in_(bindparam("todo_ids", expanding=True)))

WRITABLE: Query[UUID] = query(
    scalar,
    select(members.c.list_id).where(
        members.c.user_id == bindparam("actor_id"),
        members.c.role.in_(sorted(WRITERS)),
        or_(members.c.list_id.in_(bindparam("list_ids", expanding=True)), members.c.list_id.in_(_OF_TODOS)),
    ),
)
"""Of `list_ids`, and of the lists that `todo_ids` are in, those that `actor_id` may write in."""
