"""What can be asked about the tree that the todos of a list make, and about the order among siblings."""

from collections.abc import Callable
from datetime import datetime
from functools import cache
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    Integer,
    Select,
    and_,
    bindparam,
    exists,
    func,
    literal,
    or_,
    select,
    update,
)
from sqlalchemy.sql.selectable import NamedFromClause

from doable.core.queries import Query, query, scalar
from doable.lists.statements import may_write_in
from doable.lists.tables import members
from doable.todos.statements import TodoRow, todos_of_actor
from doable.todos.tables import TodoColumns, todos


class Branch(NamedTuple):
    """Where subtasks of a todo are: `depth` is its own, 0 at the top; `size` counts all below the top but what moves.

    `moves`: the todo that shall come here is this one, or above it.
    """

    list_id: UUID
    deleted_at: datetime | None
    depth: int
    size: int
    moves: bool


class Sibling(NamedTuple):
    id: UUID
    position: str


def _branch() -> Select[*tuple[Any, ...]]:
    """Of `parent_id`, for `todo_id` to come into."""
    up = (
        select(todos.c.id, todos.c.parent_id, literal(0, Integer).label("depth"))
        .where(todos.c.id == bindparam("parent_id"))
        .cte("up", recursive=True)
    )
    above = todos.alias()
    up = up.union_all(select(above.c.id, above.c.parent_id, up.c.depth + 1).where(above.c.id == up.c.parent_id))
    down = select(up.c.id).where(up.c.parent_id.is_(None)).cte("down", recursive=True)
    below = todos.alias()
    down = down.union_all(
        select(below.c.id).where(
            below.c.parent_id == down.c.id, below.c.deleted_at.is_(None), below.c.id != bindparam("todo_id")
        )
    )
    return select(
        todos.c.list_id,
        todos.c.deleted_at,
        select(func.max(up.c.depth)).scalar_subquery().label("depth"),
        (select(func.count()).select_from(down).scalar_subquery() - 1).label("size"),
        exists().where(up.c.id == bindparam("todo_id")).label("moves"),
    ).where(todos.c.id == bindparam("parent_id"))


BRANCH: Query[Branch] = query(Branch, _branch())


def _below(goes_along: Callable[[NamedFromClause[TodoColumns]], ColumnElement[bool]]) -> Query[TodoRow]:
    """What is below `todo_id`, whoever is above comes first."""
    tree = (
        select(todos.c.id, literal(0, Integer).label("depth"))
        .where(todos.c.id == bindparam("todo_id"))
        .cte("tree", recursive=True)
    )
    child = todos.alias()
    tree = tree.union_all(select(child.c.id, tree.c.depth + 1).where(child.c.parent_id == tree.c.id, goes_along(child)))
    return query(
        TodoRow,
        todos_of_actor()
        .join(tree, tree.c.id == todos.c.id)
        .where(tree.c.depth > 0)
        .order_by(tree.c.depth, todos.c.position, todos.c.id),
    )


SUBTASKS: Query[TodoRow] = _below(lambda child: child.c.deleted_at.is_(None))
TAKEN_ALONG: Query[TodoRow] = _below(lambda child: child.c.deleted_with == bindparam("deleted_with"))
"""What went into the trash together with a todo and from below it."""

SOME: Query[TodoRow] = query(TodoRow, todos_of_actor().where(todos.c.id.in_(bindparam("todo_ids", expanding=True))))

MEMBERS: Query[UUID] = query(
    scalar,
    select(members.c.user_id).where(
        members.c.list_id == bindparam("list_id"), members.c.user_id.in_(bindparam("user_ids", expanding=True))
    ),
)
"""Those of `user_ids` who are members."""

LEAVE_IN_TRASH = (
    update(todos)
    .where(
        todos.c.parent_id.in_(bindparam("todo_ids", expanding=True)),
        todos.c.deleted_at.is_not(None),
        may_write_in(todos.c.list_id),
    )
    .values(parent_id=None, updated_at=bindparam("now"), version=todos.c.version + 1)
)


@cache
def neighbours(*, top: bool, backwards: bool, anchored: bool) -> Query[Sibling]:
    """`anchor_id` and the next sibling, or the first two; seen from the end if `backwards`, and without `todo_id`."""
    statement = _siblings(top=top).limit(2)
    if anchored:
        anchor = todos.alias()
        there = select(anchor.c.position).where(anchor.c.id == bindparam("anchor_id")).scalar_subquery()
        beyond = todos.c.position < there if backwards else todos.c.position > there
        id_beyond = todos.c.id <= bindparam("anchor_id") if backwards else todos.c.id >= bindparam("anchor_id")
        seek = todos.c.position <= there if backwards else todos.c.position >= there
        statement = statement.where(seek, or_(beyond, and_(todos.c.position == there, id_beyond)))
    order = (todos.c.position, todos.c.id)
    return query(Sibling, statement.order_by(*(column.desc() if backwards else column for column in order)))


@cache
def siblings(*, top: bool) -> Query[Sibling]:
    """All of them in their order, without `todo_id`."""
    return query(Sibling, _siblings(top=top).order_by(todos.c.position, todos.c.id))


@cache
def sibling_at(*, top: bool) -> Query[Sibling]:
    """Whoever has the `position`."""
    return query(Sibling, _siblings(top=top).where(todos.c.position == bindparam("position")).limit(1))


def _siblings(*, top: bool) -> Select[UUID, str]:
    return select(todos.c.id, todos.c.position).where(
        todos.c.list_id == bindparam("list_id"),
        todos.c.parent_id.is_(None) if top else todos.c.parent_id == bindparam("parent_id"),
        todos.c.deleted_at.is_(None),
        todos.c.id != bindparam("todo_id"),
    )
