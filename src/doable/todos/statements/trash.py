"""What can be asked about the trash."""

from typing import NamedTuple
from uuid import UUID

from sqlalchemy import Integer, bindparam, delete, exists, select, update

from doable.core.events import events
from doable.core.pages import Listing, Order, listing
from doable.core.queries import Query, query
from doable.lists.tables import lists
from doable.todos.statements import TodoRow, todos_of_actor
from doable.todos.tables import todos


class Trashed(NamedTuple):
    id: UUID
    list_id: UUID


TRASH: Listing[TodoRow] = listing(
    "trash",
    TodoRow,
    todos_of_actor().where(todos.c.deleted_at.is_not(None)),
    Order("deleted_at", todos.c.deleted_at, descending=True),
    Order("id", todos.c.id, descending=True),
)

_below = todos.alias()
_is_leaf = ~exists().where(_below.c.parent_id == todos.c.id)

EXPIRED: Query[Trashed] = query(
    Trashed,
    select(todos.c.id, todos.c.list_id)
    .where(
        todos.c.deleted_at.is_not(None),
        todos.c.deleted_at < bindparam("before", type_=todos.c.deleted_at.type),
        _is_leaf,  # what is below goes first, and not uncounted with what is above
    )
    .order_by(todos.c.deleted_at, todos.c.id)
    .limit(bindparam("most", type_=Integer)),
)
"""In all lists, for the server itself."""


def _trees() -> Query[Trashed]:
    tree = (
        select(todos.c.id, todos.c.list_id)
        .where(todos.c.id.in_(bindparam("todo_ids", expanding=True)), todos.c.deleted_at.is_not(None))
        .cte("tree", recursive=True)
    )
    child = todos.alias()
    tree = tree.union(select(child.c.id, child.c.list_id).where(child.c.parent_id == tree.c.id))
    return query(Trashed, select(tree.c.id, tree.c.list_id).order_by(tree.c.id))


TREES: Query[Trashed] = _trees()
"""Those of `todo_ids` that are in the trash, and what is below them: that is in the trash too."""

DELETE = delete(todos).where(todos.c.id.in_(bindparam("todo_ids", expanding=True)))
"""With them goes what is below them."""

_LEAVES = (
    select(todos.c.id).where(todos.c.list_id == bindparam("list_id"), _is_leaf).limit(bindparam("most", type_=Integer))
)
DELETE_LEAVES = delete(todos).where(todos.c.id.in_(_LEAVES))
"""Some todos of a list that have nothing below them, which would go with them uncounted."""

_OWNER = select(lists.c.owner_id).where(lists.c.id == bindparam("home_id")).scalar_subquery()
EMPTY = (
    update(events)
    .where(
        events.c.subject_id == bindparam("gone_id"),
        events.c.kind.like("todo.%"),
        events.c.stream_id.in_(select(lists.c.id).where(lists.c.owner_id == _OWNER)),
    )
    .values(data=bindparam("left"))
)
"""What was told of a todo in its list and in others of the same owner: the logs of other people are not his to empty.

By kind too: people choose the ids of todos, and may choose the id of a person.
"""
