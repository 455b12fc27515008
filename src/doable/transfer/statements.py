"""What is asked to write a file, and what is kept of one that comes in. Nothing here executes."""

from datetime import datetime
from functools import cache
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import Integer, and_, bindparam, delete, func, insert, or_, select, update

from doable.core.queries import Query, query, scalar
from doable.core.streams import streams
from doable.lists.statements import ListRow, lists_of_actor
from doable.lists.tables import lists, members
from doable.todos.statements import OccurrenceRow, TodoRow, todos_of_actor
from doable.todos.tables import occurrences, todos
from doable.transfer.tables import import_parts, imports


class HistoryRow(NamedTuple):
    """An occurrence and whose it is."""

    todo_id: UUID
    row: OccurrenceRow


class ImportRow(NamedTuple):
    id: UUID
    user_id: UUID
    source: str
    status: str
    digest: bytes | None
    inbox_id: UUID | None
    parts: int
    applied: int
    created: int
    present: int
    refused: int
    errors: str
    created_at: datetime
    finished_at: datetime | None


class PartRow(NamedTuple):
    kind: str
    elements: str


LISTS: Query[ListRow] = query(ListRow, lists_of_actor().where(lists.c.deleted_at.is_(None)).order_by(lists.c.id))


@cache
def todos_at(depth: int) -> Query[TodoRow]:
    """Of one list, those so far below the top, in the order of siblings, in the trash or not."""
    statement, parent_id = todos_of_actor(), todos.c.parent_id
    for _ in range(depth):
        above = todos.alias()
        statement = statement.join(above, above.c.id == parent_id)
        parent_id = above.c.parent_id
    position = bindparam("after_position", type_=todos.c.position.type)
    todo_id = bindparam("after_id", type_=todos.c.id.type)
    beyond = or_(todos.c.position > position, and_(todos.c.position == position, todos.c.id > todo_id))
    return query(
        TodoRow,
        statement.where(
            parent_id.is_(None),
            todos.c.list_id == bindparam("list_id"),
            todos.c.position >= position,
            beyond,
        )
        .order_by(todos.c.position, todos.c.id)
        .limit(bindparam("most", type_=Integer)),
    )


_AFTER = bindparam("after_id", type_=occurrences.c.todo_id.type)
_NUMBER = bindparam("after_number", type_=Integer)

OCCURRENCES: Query[HistoryRow] = Query(
    lambda row: HistoryRow(row[0], OccurrenceRow._make(row[1:])),
    select(occurrences.c.todo_id, *(occurrences.c[name] for name in OccurrenceRow._fields))
    .join_from(occurrences, todos, todos.c.id == occurrences.c.todo_id)
    .join(members, members.c.list_id == todos.c.list_id)
    .join(lists, lists.c.id == todos.c.list_id)
    .where(
        members.c.user_id == bindparam("actor_id"),
        lists.c.deleted_at.is_(None),
        todos.c.list_id == bindparam("list_id"),
        occurrences.c.todo_id >= _AFTER,
        or_(occurrences.c.todo_id > _AFTER, occurrences.c.number > _NUMBER),
    )
    .order_by(occurrences.c.todo_id, occurrences.c.number)
    .limit(bindparam("most", type_=Integer)),
)
"""The history of the todos of one list, oldest first."""

_COLUMNS = [imports.c[name] for name in ImportRow._fields]

IMPORT: Query[ImportRow] = query(
    ImportRow,
    select(*_COLUMNS).where(
        imports.c.id == bindparam("import_id"),
        imports.c.user_id == bindparam("actor_id"),
        imports.c.status != "receiving",
    ),
)
ANY_IMPORT: Query[ImportRow] = query(ImportRow, select(*_COLUMNS).where(imports.c.id == bindparam("import_id")))
_IS_ABANDONED = and_(
    imports.c.status == "receiving",
    imports.c.created_at < bindparam("abandoned_before", type_=imports.c.created_at.type),
)
UNFINISHED: Query[int] = query(
    scalar,
    select(func.count().label("unfinished")).where(
        imports.c.user_id == bindparam("actor_id"), imports.c.finished_at.is_(None), ~_IS_ABANDONED
    ),
)
UNDER_WAY: Query[UUID] = query(
    scalar, select(imports.c.id).where(imports.c.finished_at.is_(None), imports.c.status != "receiving")
)
INSERT_IMPORT = insert(imports)
RECEIVED: Query[ImportRow] = query(
    ImportRow,
    update(imports)
    .where(imports.c.id == bindparam("import_id"), imports.c.status == "receiving")
    .values(status="pending", parts=bindparam("all_parts"), digest=bindparam("its_digest"))
    .returning(*_COLUMNS),
)
ADVANCE = (
    update(imports)
    .where(
        imports.c.id == bindparam("import_id"),
        imports.c.applied == bindparam("number"),
        imports.c.finished_at.is_(None),
    )
    .values(
        applied=imports.c.applied + 1,
        status=bindparam("new_status"),
        inbox_id=bindparam("new_inbox_id"),
        created=imports.c.created + bindparam("more_created", type_=Integer),
        present=imports.c.present + bindparam("more_present", type_=Integer),
        refused=imports.c.refused + bindparam("more_refused", type_=Integer),
        errors=bindparam("new_errors"),
        finished_at=bindparam("finished"),
    )
)
"""Changes nothing when the part has been applied before."""
FAIL = (
    update(imports)
    .where(imports.c.id == bindparam("import_id"), imports.c.finished_at.is_(None))
    .values(status="failed", finished_at=bindparam("finished"))
)
FORGET = delete(imports).where(imports.c.id == bindparam("import_id"), imports.c.status == "receiving")
FORGET_OLD = delete(imports).where(
    or_(
        imports.c.created_at < bindparam("before"),
        _IS_ABANDONED,
    )
)
FORGET_ALL = delete(imports).where(imports.c.user_id == bindparam("actor_id"))

INSERT_PART = insert(import_parts)
PART: Query[PartRow] = query(
    PartRow,
    select(import_parts.c.kind, import_parts.c.elements).where(
        import_parts.c.import_id == bindparam("import_id"), import_parts.c.number == bindparam("number")
    ),
)
DELETE_PART = delete(import_parts).where(
    import_parts.c.import_id == bindparam("import_id"), import_parts.c.number == bindparam("number")
)
DELETE_PARTS = delete(import_parts).where(import_parts.c.import_id == bindparam("import_id"))

STREAMS: Query[UUID] = query(
    scalar, select(streams.c.id).where(streams.c.id.in_(bindparam("list_ids", expanding=True)))
)
"""Those of the ids that lists or people have."""
