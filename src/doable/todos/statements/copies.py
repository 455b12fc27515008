"""What has to be known before todos that were made elsewhere come in. Nothing here executes."""

from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import Integer, Select, bindparam, func, literal, select, type_coerce
from sqlalchemy.dialects.postgresql import insert  # SQLite's ON CONFLICT is the same text

from doable.core.events import events
from doable.core.queries import Query, query, scalar
from doable.core.tables import Id
from doable.lists.statements import may_write_in
from doable.todos.tables import occurrences, todos


class Place(NamedTuple):
    """Where a todo stands: which one is at the top, how deep it is itself, and how many are below the top in all."""

    todo_id: UUID
    top_id: UUID
    depth: int
    size: int


def _places() -> Select[*tuple[Any, ...]]:
    up = (
        select(todos.c.id.label("todo_id"), todos.c.id, todos.c.parent_id, literal(0, Integer).label("depth"))
        .where(todos.c.id.in_(bindparam("todo_ids", expanding=True)))
        .cte("up", recursive=True)
    )
    above = todos.alias()
    up = up.union_all(
        select(up.c.todo_id, above.c.id, above.c.parent_id, up.c.depth + 1).where(above.c.id == up.c.parent_id)
    )
    down = select(up.c.id.label("top_id"), up.c.id).where(up.c.parent_id.is_(None)).distinct()
    tree = down.cte("down", recursive=True)
    below = todos.alias()
    tree = tree.union_all(
        select(tree.c.top_id, below.c.id).where(below.c.parent_id == tree.c.id, below.c.deleted_at.is_(None))
    )
    sizes = select(tree.c.top_id, (func.count() - 1).label("size")).group_by(tree.c.top_id).subquery()
    return (
        select(up.c.todo_id, up.c.id.label("top_id"), up.c.depth, sizes.c.size)
        .join_from(up, sizes, sizes.c.top_id == up.c.id)
        .where(up.c.parent_id.is_(None))
    )


PLACES: Query[Place] = query(Place, _places())

TAKEN: Query[UUID] = query(scalar, select(todos.c.id).where(todos.c.id.in_(bindparam("todo_ids", expanding=True))))
"""Those of the ids that todos have, whoever's they are."""

PURGED: Query[UUID] = query(
    scalar,
    select(type_coerce(events.c.subject_id, Id)).where(
        events.c.subject_id.in_(bindparam("todo_ids", expanding=True)), events.c.kind == "todo.purged"
    ),
)
"""Those of the ids that todos have had, as long as the log remembers."""

ARRIVED: Query[int] = query(
    scalar,
    select(func.count().label("arrived")).where(
        todos.c.id.in_(bindparam("todo_ids", expanding=True)),
        todos.c.list_id.in_(bindparam("list_ids", expanding=True)),
    ),
)

_COLUMNS = [column.name for column in occurrences.c]

INSERT_OCCURRENCE = (
    insert(occurrences)
    .from_select(
        _COLUMNS,
        select(*(bindparam(name, type_=occurrences.c[name].type) for name in _COLUMNS)).where(
            todos.c.id == bindparam("todo_id", type_=todos.c.id.type),
            todos.c.created_by == bindparam("completed_by", type_=todos.c.created_by.type),
            may_write_in(todos.c.list_id),
        ),
    )
    .on_conflict_do_nothing(index_elements=["todo_id", "number"])
)
"""Into the history of a todo that `completed_by`, who is `actor_id`, has made: nobody writes that of others."""
