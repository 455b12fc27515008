"""The tree that the todos of a list make: who may be below whom, and how many are written at once."""

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from itertools import groupby
from typing import NamedTuple
from uuid import UUID

from doable.accounts.access import Actor
from doable.core import streams
from doable.core.db import SerializationFailure, Transaction
from doable.core.errors import AppException, Code, invalid_field, not_found
from doable.core.queries import Reader
from doable.lists import access as lists_access
from doable.todos import access, fields, statements
from doable.todos.statements import TodoRow
from doable.todos.statements import trees as statements_of_trees
from doable.todos.statements.trees import Branch

DEEPEST = 5
"""Subtasks below each other, below a todo at the top."""
MOST = 500
"""Todos below one at the top, on all levels."""


class Step(NamedTuple):
    """A row before and after."""

    before: TodoRow
    after: TodoRow


async def locked(
    tx: Transaction, ahead: TodoRow, find: Callable[[Reader], Awaitable[TodoRow]], *others: UUID
) -> tuple[TodoRow, dict[UUID, int]]:
    """A todo that was read ahead, found again with its list and others locked, and the revisions of those."""
    revisions = await streams.lock(tx, {ahead.list_id, *others})
    row = await find(tx)
    _refuse_moved(row.list_id, ahead.list_id)
    return row, revisions


async def parent(reader: Reader, actor: Actor, parent_id: UUID, list_id: UUID | None) -> TodoRow:
    """The todo that shall have a subtask, in that list if one is named.

    Raises `NOT_FOUND`, `FORBIDDEN` and `IN_TRASH`.
    """
    row = await access.visible(reader, actor, parent_id)
    if list_id not in {None, row.list_id}:
        raise invalid_field("body.parent_id", "It has to be a todo of the same list.")
    lists_access.require(row.role, lists_access.WRITERS)
    access.refuse_trashed(row)
    return row


async def branch(tx: Transaction, parent_id: UUID, list_id: UUID, todo_id: UUID) -> Branch:
    """Where subtasks of `parent_id` are; asked under the lock of the list. Raises `NOT_FOUND` and `IN_TRASH`."""
    found = await tx.first(statements_of_trees.BRANCH, parent_id=parent_id, todo_id=todo_id)
    if found is None:
        raise not_found("todo")
    _refuse_moved(found.list_id, list_id)
    if found.deleted_at is not None:
        raise AppException(Code.IN_TRASH, "The todo above is in the trash; restore it first.")
    return found


def refuse_beyond(place: Branch, below: Sequence[TodoRow] = ()) -> None:
    """Raises `LIMIT_REACHED` when a todo with these `below` it is too much for that place."""
    if place.depth + 1 + _height(below) > DEEPEST:
        raise AppException(Code.LIMIT_REACHED, f"Subtasks may be {DEEPEST} levels deep at most.")
    if place.size + 1 + len(below) > MOST:
        raise AppException(Code.LIMIT_REACHED, f"A todo may have {MOST} subtasks at most, on all levels together.")


async def write(tx: Transaction, actor: Actor, steps: Iterable[Step]) -> None:
    """Write rows that were read under the lock of their list, so that no one can have changed them since."""
    for columns, alike in groupby(sorted(((_changed(step), step) for step in steps), key=_names), key=_names):
        await tx.many(
            statements.update_todos(frozenset(columns)),
            [
                {
                    "actor_id": actor.user_id,
                    "todo_id": before.id,
                    "home_id": before.list_id,
                    "seen": before.version,
                    "now": after.updated_at,
                    **{f"new_{name}": value for name, value in changed.items()},
                }
                for changed, (before, after) in alike
            ],
        )


def _refuse_moved(list_id: UUID, was: UUID) -> None:
    """Another list than the one that is locked."""
    if list_id != was:
        raise SerializationFailure("it changes its list faster than it can be read")


def _names(entry: tuple[Mapping[str, object], Step]) -> list[str]:
    return list(entry[0])


def _changed(step: Step) -> dict[str, object]:
    before, after = step
    return fields.stored(
        after,
        {
            name: getattr(after, name)
            for name in TodoRow._fields
            if name not in {"updated_at", "version", "role"} and getattr(before, name) != getattr(after, name)
        },
    )


def _height(below: Sequence[TodoRow]) -> int:
    """Levels; whoever is above comes first, and what is not below any of them is on the first level."""
    levels: dict[UUID | None, int] = {}
    for row in below:
        levels[row.id] = levels.get(row.parent_id, 0) + 1
    return max(levels.values(), default=0)
