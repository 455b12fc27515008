"""What todos are found by, and which labels there are."""

from functools import cache
from typing import NamedTuple, cast
from uuid import UUID

from sqlalchemy import Column, ColumnElement, Select, and_, bindparam, false, func, intersect, select

from doable.core.queries import Query, query
from doable.lists.tables import lists, members
from doable.todos.tables import todo_search, todos


class LabelRow(NamedTuple):
    """One spelling of a label, and how many todos have it."""

    term: str
    label: str
    todos: int


def found(words: int, *, named: bool) -> ColumnElement[bool]:
    """Whether a todo has a term in each of so many ranges, `low_0` to `high_0` and so on; in none where there is none.

    `named`: looked for in the lists of `list_ids`, else in all lists of the actor.
    """
    ranges = [
        and_(todo_search.c.term >= bindparam(f"low_{n}"), todo_search.c.term < bindparam(f"high_{n}"))
        for n in range(words)
    ]
    return _having(*ranges, named=named) if ranges else false()


def labelled(*, named: bool) -> ColumnElement[bool]:
    """Whether a todo has one of the labels whose terms are `labels`."""
    return _having(todo_search.c.term.in_(bindparam("labels", expanding=True)), named=named)


@cache
def labels(*, named: bool) -> Query[LabelRow]:
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
            in_named_lists(todo_search.c.list_id) if named else lists.c.archived_at.is_(None),
            todo_search.c.term >= "#",
            todo_search.c.term < "$",  # which comes next
            todos.c.deleted_at.is_(None),
        )
        .group_by(todo_search.c.term, todo_search.c.label)
        .order_by(todo_search.c.term, func.count().desc(), todo_search.c.label),
    )


def in_named_lists(list_id: ColumnElement[UUID]) -> ColumnElement[bool]:
    return list_id.in_(bindparam("list_ids", expanding=True))


def _having(*terms: ColumnElement[bool], named: bool) -> ColumnElement[bool]:
    having = [_in_named_lists(term) if named else _in_lists_of_actor(term) for term in terms]
    return todos.c.id.in_(intersect(*having) if len(having) > 1 else having[0])


def _in_named_lists(term: ColumnElement[bool]) -> Select[UUID]:
    return select(todo_search.c.todo_id).where(in_named_lists(todo_search.c.list_id), term)


def _in_lists_of_actor(term: ColumnElement[bool]) -> Select[UUID]:
    """An outer join, so that SQLite begins with the lists and never with a term, which others have too.

    PostgreSQL begins with the lists unless nearly all that there are belong to the actor. The rows without a todo, of
    lists in which there is no such term, are never found in `IN`.
    """
    here = todo_search.c.list_id == members.c.list_id
    joined = select(todo_search.c.todo_id).join_from(members, todo_search, and_(here, term), isouter=True)
    return joined.where(members.c.user_id == bindparam("actor_id"))
