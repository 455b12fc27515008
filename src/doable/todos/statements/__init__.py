"""What can be asked about todos. Nothing here executes; permission is part of every statement."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import cache, lru_cache
from typing import Any, Literal, NamedTuple
from uuid import UUID

from sqlalchemy import ColumnElement, Select, Update, bindparam, delete, exists, func, or_, select, update
from sqlalchemy.dialects.postgresql import insert  # SQLite's ON CONFLICT is the same text

from doable.core import events as log
from doable.core.events import EventRow, events
from doable.core.pages import Listing, Order, listing
from doable.core.queries import Query, names, query
from doable.core.streams import streams
from doable.lists.statements import may_write_in
from doable.lists.tables import lists, members
from doable.todos.statements import terms
from doable.todos.tables import occurrences, todos


class TodoRow(NamedTuple):
    """A todo and the role of whoever asked."""

    id: UUID
    list_id: UUID
    parent_id: UUID | None
    position: str
    title: str
    description: str | None
    priority: int
    completed_at: datetime | None
    due_date: str | None
    due_time: str | None
    due_timezone: str | None
    due_at: datetime | None
    rule: str | None
    basis: str | None
    done: int
    labels: str
    assignee_id: UUID | None
    created_by: UUID
    created_at: datetime
    updated_at: datetime
    deleted_at: datetime | None
    version: int
    # So far `shapes.from_columns`; what follows is not shown.
    title_key: str
    due_key: datetime | None
    anchor: str | None
    deleted_with: UUID | None
    role: str


class WithStream(NamedTuple):
    """A todo, and where the stream of its list is."""

    todo: TodoRow
    revision: int
    followed: int | None


class Renewed(NamedTuple):
    """What a todo has after it was written."""

    version: int
    has_subtasks: bool


class Filter(NamedTuple):
    """Which conditions a listing has; their values are parameters. `words`: how many ranges of terms there are."""

    list_id: bool = False
    parent: Literal["any", "none", "one"] = "any"
    completed: bool | None = None
    priority: bool = False
    due_before: bool = False
    due_after: bool = False
    label: bool = False
    assignee: Literal["id", "me", "none"] | None = None
    words: int | None = None


class OccurrenceRow(NamedTuple):
    number: int
    due_date: str
    due_time: str | None
    due_timezone: str | None
    due_at: datetime | None
    completed_at: datetime
    completed_by: UUID


COMBINATIONS = 1_000
"""Listings that are kept after their first use; there are many more combinations of filters than anybody uses."""
SORTS = ("position", "id", "created_at", "updated_at", "due", "priority", "title")

_BEFORE_ALL, _AFTER_ALL = datetime(1, 1, 1, tzinfo=UTC), datetime(9999, 12, 31, 23, 59, 59, 999000, tzinfo=UTC)


def _named(columns: Sequence[str]) -> list[ColumnElement[Any]]:
    return [members.c.role if name == "role" else todos.c[name] for name in columns]


def todos_of_actor(columns: Sequence[str] = TodoRow._fields) -> Select[*tuple[Any, ...]]:
    """Every todo in a list that `actor_id` is a member of, those in the trash too."""
    return (
        select(*_named(columns))
        .join_from(todos, members, members.c.list_id == todos.c.list_id)
        .join(lists, lists.c.id == todos.c.list_id)
        .where(members.c.user_id == bindparam("actor_id"), lists.c.deleted_at.is_(None))
    )


TODO: Query[TodoRow] = query(TodoRow, todos_of_actor().where(todos.c.id == bindparam("todo_id")), by_key=True)


TODO_WITH_STREAM: Query[WithStream] = Query(
    lambda row: WithStream(TodoRow(*row[:-2]), *row[-2:]),
    todos_of_actor()
    .add_columns(streams.c.revision, streams.c.followed)
    .join(streams, streams.c.id == todos.c.list_id)
    .where(todos.c.id == bindparam("todo_id")),
    by_key=True,
)


def _may_be_assigned(list_id: ColumnElement[UUID], user_id: ColumnElement[UUID | None]) -> ColumnElement[bool]:
    return or_(user_id.is_(None), exists().where(members.c.list_id == list_id, members.c.user_id == user_id))


OF_ASSIGNEE: Query[TodoRow] = query(
    TodoRow,
    select(*_named(TodoRow._fields))
    .join_from(todos, members, members.c.list_id == todos.c.list_id)
    .where(
        todos.c.assignee_id == bindparam("user_id"),
        todos.c.list_id == bindparam("list_id"),
        members.c.user_id == todos.c.assignee_id,
    )
    .order_by(todos.c.id),
)
"""The todos of a list that a member of it has been given, those in the trash too."""
UNASSIGN = (
    update(todos)
    .where(todos.c.assignee_id == bindparam("user_id"), todos.c.list_id == bindparam("home_id"))
    .values(assignee_id=None, updated_at=bindparam("now"), version=todos.c.version + 1)
)

_COLUMNS = [column.name for column in todos.c]
_PURGED = exists().where(events.c.subject_id == bindparam("id", type_=todos.c.id.type), events.c.kind == "todo.purged")

INSERT_TODO = (
    insert(todos)
    .from_select(
        _COLUMNS,
        select(*(bindparam(name, type_=todos.c[name].type) for name in _COLUMNS)).where(
            may_write_in(bindparam("list_id", type_=todos.c.list_id.type)),
            _may_be_assigned(
                bindparam("list_id", type_=todos.c.list_id.type),
                bindparam("assignee_id", type_=todos.c.assignee_id.type),
            ),
            ~_PURGED,
        ),
    )
    .on_conflict_do_nothing(index_elements=["id"])
)
"""Inserts nothing when `actor_id` may not write in the list any more, the list is deleted, the assignee is no member
of it, or the id is taken. The log keeps one taken whose todo was purged: what is known of it, its version too, must not
be taken for news of another one.

A violation would be the end of the transaction, which has yet to look at what is there.
"""

HISTORY: Listing[EventRow] = listing(
    "history",
    EventRow,
    select(*log.COLUMNS)
    .join_from(events, members, members.c.list_id == events.c.stream_id)
    .join(lists, lists.c.id == events.c.stream_id)
    .where(
        events.c.subject_id == bindparam("todo_id"),
        events.c.kind.like("todo.%"),  # a person may have the same id
        members.c.user_id == bindparam("actor_id"),
        lists.c.deleted_at.is_(None),
    ),
    Order("at", events.c.at, descending=True),
    Order("revision", events.c.revision, descending=True),
    Order("stream_id", events.c.stream_id, descending=True),
)
"""The events of a todo in the lists that `actor_id` may see now, newest first."""

_OCCURRENCE = [occurrences.c[name] for name in OccurrenceRow._fields]
OCCURRENCES: Listing[OccurrenceRow] = listing(
    "occurrences",
    OccurrenceRow,
    select(*_OCCURRENCE)
    .join_from(occurrences, todos, todos.c.id == occurrences.c.todo_id)
    .join(members, members.c.list_id == todos.c.list_id)
    .join(lists, lists.c.id == todos.c.list_id)
    .where(
        occurrences.c.todo_id == bindparam("todo_id"),
        members.c.user_id == bindparam("actor_id"),
        lists.c.deleted_at.is_(None),
    ),
    Order("number", occurrences.c.number, descending=True),
)
"""The occurrences of a todo that have been completed, newest first."""

LAST_OCCURRENCE: Query[OccurrenceRow] = query(
    OccurrenceRow,
    select(*_OCCURRENCE)
    .where(occurrences.c.todo_id == bindparam("todo_id"))
    .order_by(occurrences.c.number.desc())
    .limit(1),
)
_LAST_NUMBER = (
    select(func.coalesce(func.max(occurrences.c.number), 0))
    .where(occurrences.c.todo_id == bindparam("noted_id"))
    .scalar_subquery()
)
INSERT_OCCURRENCE = insert(occurrences).values(number=_LAST_NUMBER + 1)
"""Numbers go on when a rule is replaced; the lock of the list's stream keeps them in order."""
DELETE_LAST_OCCURRENCE = delete(occurrences).where(
    occurrences.c.todo_id == bindparam("noted_id"), occurrences.c.number == _LAST_NUMBER
)


@cache
def update_todo(fields: frozenset[str]) -> Query[Renewed]:
    """Set `fields` (parameters `new_FIELD`), provided that the todo is still as it was `seen` and may be written.

    A new assignee has to be a member of the list.
    """
    subtasks = todos.alias()
    # By the parameter: in RETURNING SQLAlchemy leaves tables' names out, and `parent_id = id` would be a subtask's own.
    has_subtasks = exists().where(subtasks.c.parent_id == bindparam("todo_id"), subtasks.c.deleted_at.is_(None))
    return query(Renewed, update_todos(fields).returning(todos.c.version, has_subtasks.label("has_subtasks")))


@cache
def update_todos(fields: frozenset[str]) -> Update:
    """The same for several, each with parameters of its own, where nobody asks whether they were written."""
    changes = {field: bindparam(f"new_{field}", type_=todos.c[field].type) for field in fields}
    return (
        update(todos)
        .where(
            todos.c.id == bindparam("todo_id"),
            todos.c.list_id == bindparam("home_id"),
            todos.c.version == bindparam("seen"),
            may_write_in(todos.c.list_id),
            *([_may_be_assigned(todos.c.list_id, changes["assignee_id"])] if "assignee_id" in fields else []),
        )
        .values(**changes, updated_at=bindparam("now"), version=todos.c.version + 1)
    )


@lru_cache(COMBINATIONS)
def todos_by(shape: Callable[..., Any], chosen: Filter, sort: str) -> Listing[Any]:
    """The todos outside the trash that pass a filter. `sort`: one of `SORTS`, or it with a `-` before."""
    statement = todos_of_actor(names(shape)).where(todos.c.deleted_at.is_(None), *_conditions(chosen))
    reverse, name = sort.startswith("-"), sort.removeprefix("-")
    unique = Order("id", todos.c.id, descending=(name == "id") != reverse)
    orders = (unique,) if name == "id" else (_order(name, reverse=reverse), unique._replace(descending=False))
    return listing(f"todos.{sort}", shape, statement, *orders)


def _order(name: str, *, reverse: bool) -> Order:
    if name == "due":
        missing = _BEFORE_ALL if reverse else _AFTER_ALL  # what has no due comes last in both directions
        return Order("due_key", todos.c.due_key, descending=reverse, missing=missing)
    field = "title_key" if name == "title" else name
    return Order(field, todos.c[field], descending=reverse)


def _conditions(chosen: Filter) -> list[ColumnElement[bool]]:
    possible = [
        (chosen.list_id, terms.in_named_lists(todos.c.list_id)),
        (not chosen.list_id, lists.c.archived_at.is_(None)),
        (chosen.parent == "none", todos.c.parent_id.is_(None)),
        (chosen.parent == "one", todos.c.parent_id == bindparam("parent_id")),
        (chosen.completed is True, todos.c.completed_at.is_not(None)),
        (chosen.completed is False, todos.c.completed_at.is_(None)),
        (chosen.priority, todos.c.priority.in_(bindparam("priorities", expanding=True))),
        (chosen.due_before, todos.c.due_date < bindparam("due_before")),
        (chosen.due_after, todos.c.due_date > bindparam("due_after")),
        (chosen.label, terms.labelled(named=chosen.list_id)),
        (chosen.assignee == "none", todos.c.assignee_id.is_(None)),
        (chosen.assignee == "me", todos.c.assignee_id == bindparam("actor_id")),
        (chosen.assignee == "id", todos.c.assignee_id == bindparam("assignee_id")),
        (chosen.words is not None, terms.found(chosen.words or 0, named=chosen.list_id)),
    ]
    return [condition for asked, condition in possible if asked]
