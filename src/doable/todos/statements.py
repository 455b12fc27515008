"""What can be asked about todos. Nothing here executes; permission is part of every statement."""

from datetime import datetime
from functools import cache, lru_cache
from typing import Any, Literal, NamedTuple, cast
from uuid import UUID

from sqlalchemy import (
    Column,
    ColumnElement,
    Select,
    and_,
    bindparam,
    exists,
    false,
    func,
    intersect,
    or_,
    select,
    update,
)
from sqlalchemy.dialects.postgresql import insert  # SQLite's ON CONFLICT is the same text

from doable.core import events as log
from doable.core.events import EventRow, events
from doable.core.pages import Listing, Order, listing
from doable.core.queries import Query, query, scalar
from doable.lists.statements import may_write_in
from doable.lists.tables import lists, members
from doable.todos.tables import todo_search, todos


class TodoRow(NamedTuple):
    """A todo and the role of whoever asked."""

    id: UUID
    list_id: UUID
    parent_id: UUID | None
    position: str
    title: str
    title_key: str
    description: str | None
    priority: int
    completed_at: datetime | None
    due_date: str | None
    due_time: str | None
    due_timezone: str | None
    due_at: datetime | None
    due_key: datetime | None
    rule: str | None
    basis: str | None
    anchor: str | None
    done: int
    labels: str
    assignee_id: UUID | None
    created_by: UUID
    created_at: datetime
    updated_at: datetime
    deleted_at: datetime | None
    deleted_with: UUID | None
    version: int
    role: str


class Filter(NamedTuple):
    """Which conditions a listing has; their values are parameters. `words`: how many ranges of terms there are."""

    list_id: bool = False
    completed: bool | None = None
    priority: bool = False
    label: bool = False
    assignee: Literal["id", "me", "none"] | None = None
    words: int | None = None


class LabelRow(NamedTuple):
    """One spelling of a label, and how many todos have it."""

    term: str
    label: str
    todos: int


COMBINATIONS = 1_000
"""Listings that are kept after their first use; there are many more combinations of filters than anybody uses."""
SORTS = ("position", "id", "created_at", "updated_at", "priority", "title")


def todos_of_actor() -> Select[*tuple[Any, ...]]:
    """Every todo in a list that `actor_id` is a member of, those in the trash too."""
    columns = [members.c.role if name == "role" else todos.c[name] for name in TodoRow._fields]
    return (
        select(*columns)
        .join_from(todos, members, members.c.list_id == todos.c.list_id)
        .join(lists, lists.c.id == todos.c.list_id)
        .where(members.c.user_id == bindparam("actor_id"), lists.c.deleted_at.is_(None))
    )


TODO: Query[TodoRow] = query(TodoRow, todos_of_actor().where(todos.c.id == bindparam("todo_id")))


def _may_be_assigned(list_id: ColumnElement[UUID], user_id: ColumnElement[UUID | None]) -> ColumnElement[bool]:
    return or_(user_id.is_(None), exists().where(members.c.list_id == list_id, members.c.user_id == user_id))


ASSIGNABLE: Query[bool] = query(
    scalar,
    select(
        _may_be_assigned(
            bindparam("list_id", type_=todos.c.list_id.type), bindparam("user_id", type_=todos.c.assignee_id.type)
        ).label("assignable")
    ),
)

_COLUMNS = [column.name for column in todos.c]

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
        ),
    )
    .on_conflict_do_nothing(index_elements=["id"])
)
"""Inserts nothing when `actor_id` may not write in the list any more, the list is deleted, the assignee is no member
of it, or the id is taken.

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
        members.c.user_id == bindparam("actor_id"),
        lists.c.deleted_at.is_(None),
    ),
    Order("at", events.c.at, descending=True),
    Order("revision", events.c.revision, descending=True),
    Order("stream_id", events.c.stream_id, descending=True),
)
"""The events of a todo in the lists that `actor_id` may see now, newest first."""


@cache
def update_todo(fields: frozenset[str]) -> Query[int]:
    """Set `fields` (parameters `new_FIELD`), provided that the todo is still as it was `seen` and may be written.

    A new assignee has to be a member of the list.
    """
    changes = {field: bindparam(f"new_{field}", type_=todos.c[field].type) for field in fields}
    return query(
        scalar,
        update(todos)
        .where(
            todos.c.id == bindparam("todo_id"),
            todos.c.list_id == bindparam("home_id"),
            todos.c.version == bindparam("seen"),
            may_write_in(todos.c.list_id),
            *([_may_be_assigned(todos.c.list_id, changes["assignee_id"])] if "assignee_id" in fields else []),
        )
        .values(**changes, updated_at=bindparam("now"), version=todos.c.version + 1)
        .returning(todos.c.version),
    )


@lru_cache(COMBINATIONS)
def todos_by(chosen: Filter, sort: str) -> Listing[TodoRow]:
    """The todos outside the trash that pass a filter. `sort`: one of `SORTS`, or it with a `-` before."""
    statement = todos_of_actor().where(todos.c.deleted_at.is_(None), *_conditions(chosen))
    reverse, name = sort.startswith("-"), sort.removeprefix("-")
    unique = Order("id", todos.c.id, descending=(name == "id") != reverse)
    field = "title_key" if name == "title" else name
    orders = (
        (unique,)
        if name == "id"
        else (Order(field, todos.c[field], descending=reverse), unique._replace(descending=False))
    )
    return listing(f"todos.{sort}", TodoRow, statement, *orders)


@cache
def labels_in(*, named: bool) -> Query[LabelRow]:
    """The labels of todos outside the trash, in the lists of `list_ids` or in all that are not archived.

    Spellings of the same label follow each other, the one that most todos have first.
    """
    return query(
        LabelRow,
        select(todo_search.c.term, cast("Column[str]", todo_search.c.label), func.count().label("todos"))
        .join_from(todo_search, members, members.c.list_id == todo_search.c.list_id)
        .join(lists, lists.c.id == todo_search.c.list_id)
        .join(todos, todos.c.id == todo_search.c.todo_id)
        .where(
            members.c.user_id == bindparam("actor_id"),
            lists.c.deleted_at.is_(None),
            _chosen_lists(todo_search.c.list_id) if named else lists.c.archived_at.is_(None),
            todo_search.c.term >= "#",
            todo_search.c.term < "$",  # which comes next
            todos.c.deleted_at.is_(None),
        )
        .group_by(todo_search.c.term, todo_search.c.label)
        .order_by(todo_search.c.term, func.count().desc(), todo_search.c.label),
    )


def _conditions(chosen: Filter) -> list[ColumnElement[bool]]:
    conditions = [_chosen_lists(todos.c.list_id) if chosen.list_id else lists.c.archived_at.is_(None)]
    if chosen.completed is not None:
        conditions.append(todos.c.completed_at.is_not(None) if chosen.completed else todos.c.completed_at.is_(None))
    if chosen.priority:
        conditions.append(todos.c.priority.in_(bindparam("priorities", expanding=True)))
    if chosen.label:
        conditions.append(_found(chosen, todo_search.c.term.in_(bindparam("labels", expanding=True))))
    if chosen.assignee is not None:
        conditions.append(_assigned(chosen.assignee))
    if chosen.words is not None:
        ranges = [
            and_(todo_search.c.term >= bindparam(f"low_{n}"), todo_search.c.term < bindparam(f"high_{n}"))
            for n in range(chosen.words)
        ]
        conditions.append(_found(chosen, *ranges) if ranges else false())
    return conditions


def _found(chosen: Filter, *terms: ColumnElement[bool]) -> ColumnElement[bool]:
    """Whether a todo has one of each of these terms in the lists that are named, or else in those of the actor."""
    found = [_in_named_lists(term) if chosen.list_id else _in_lists_of_actor(term) for term in terms]
    return todos.c.id.in_(intersect(*found) if len(found) > 1 else found[0])


def _in_named_lists(term: ColumnElement[bool]) -> Select[UUID]:
    return select(todo_search.c.todo_id).where(_chosen_lists(todo_search.c.list_id), term)


def _in_lists_of_actor(term: ColumnElement[bool]) -> Select[UUID]:
    """An outer join, so that SQLite begins with the lists and never with a term, which others have too.

    PostgreSQL begins with the lists unless nearly all that there are belong to the actor. The rows without a todo, of
    lists in which there is no such term, are never found in `IN`.
    """
    here = todo_search.c.list_id == members.c.list_id
    joined = select(todo_search.c.todo_id).join_from(members, todo_search, and_(here, term), isouter=True)
    return joined.where(members.c.user_id == bindparam("actor_id"))


def _assigned(assignee: Literal["id", "me", "none"]) -> ColumnElement[bool]:
    if assignee == "none":
        return todos.c.assignee_id.is_(None)
    return todos.c.assignee_id == bindparam("actor_id" if assignee == "me" else "assignee_id")


def _chosen_lists(list_id: ColumnElement[UUID]) -> ColumnElement[bool]:
    return list_id.in_(bindparam("list_ids", expanding=True))
