"""Todos come to be."""

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import NamedTuple, cast
from uuid import UUID

from doable.accounts.access import Actor
from doable.core import clock, streams
from doable.core import events as log
from doable.core.changes import Changed
from doable.core.db import Transaction
from doable.core.errors import AppException, Code
from doable.core.queries import Reader
from doable.lists import access as lists_access
from doable.todos import access, events, fields, ordering, shapes, statements
from doable.todos.operations import trees
from doable.todos.statements import TodoRow


class New(NamedTuple):
    """What a person decides of a new todo: `wanted` are its members on the wire that were sent."""

    id: UUID
    wanted: Mapping[str, object]


async def create(tx: Transaction, actor: Actor, list_id: UUID | None, new: New) -> Changed[TodoRow]:
    """Without a list it comes to its parent's, or into the inbox.

    Raises `ALREADY_EXISTS` for an id that is taken, whoever has it, and `LIMIT_REACHED`.
    """
    made = await _insert(tx, actor, list_id, new)
    if made.revision is None:
        raise _taken()
    return made


async def put(
    tx: Transaction, actor: Actor, list_id: UUID | None, new: New, members: Collection[str]
) -> Changed[TodoRow]:
    """Create, or find that just this is there already: then nothing happens. Only `members` are compared.

    Raises `ALREADY_EXISTS` and `IN_TRASH`; nothing is ever overwritten.
    """
    # First of all: where it was put then may be a place by now where nothing can be put any more.
    present = await tx.ahead.first(statements.TODO, actor_id=actor.user_id, todo_id=new.id)
    if present is None:
        made = await _insert(tx, actor, list_id, new)
        if made.revision is not None:
            return made
        present = await tx.first(statements.TODO, actor_id=actor.user_id, todo_id=new.id)
        if present is None:
            raise _taken()
        await streams.take_back(tx, made.row.list_id)
    _refuse_other(actor, present, list_id, new, members)
    return Changed(present, None)


def _refuse_other(actor: Actor, present: TodoRow, named: UUID | None, new: New, members: Collection[str]) -> None:
    lists_access.require(present.role, lists_access.WRITERS)
    access.refuse_trashed(present)
    now = clock.now()
    empty = blank(actor, new.id, named or present.list_id, "", present.role, now)
    there, wanted = (
        shapes.shown(row).model_dump(include=set(members), exclude={"recurrence": {"done"}})
        for row in (present, empty._replace(**fields.columns(empty, new.wanted, now)))
    )
    if there != wanted:
        raise _taken()


async def _insert(tx: Transaction, actor: Actor, named: UUID | None, new: New) -> Changed[TodoRow]:
    """The revision is `None` when the id is taken; the stream has been raised for nothing then."""
    parent_id = cast("UUID | None", new.wanted.get("parent_id"))
    list_id, role = await _home(tx.ahead, actor, named, parent_id)
    revision = await streams.bump(tx, list_id)
    now = clock.now()
    empty = blank(actor, new.id, list_id, ordering.at_end(revision), role, now)
    row = empty._replace(**fields.columns(empty, new.wanted, now))
    branch = None if parent_id is None else await trees.branch(tx, parent_id, list_id, new.id)
    values = row._asdict()
    del values["role"]
    if not await tx.execute(statements.INSERT_TODO, actor_id=actor.user_id, terms=fields.terms(row), **values):
        # If it is not the id: since we looked, the list has been deleted, or the actor's role has changed.
        await lists_access.writable(tx, actor, list_id)
        await access.refuse_assignee(tx, list_id, row.assignee_id)
        return Changed(row, None)
    if branch is not None:
        trees.refuse_beyond(branch)  # only now: what is there already is no more than there was
    cause = log.operation(actor.user_id, now)
    await log.append(tx, list_id, revision, cause, events.created(row))
    return Changed(row, revision)


async def _home(reader: Reader, actor: Actor, named: UUID | None, parent_id: UUID | None) -> tuple[UUID, str]:
    """The list that it comes to, and the actor's role there."""
    if parent_id is None:
        home = await lists_access.writable(reader, actor, named or actor.inbox_id)
        return home.id, home.role
    parent = await trees.parent(reader, actor, parent_id, named)
    return parent.list_id, parent.role


def blank(actor: Actor, todo_id: UUID, list_id: UUID, position: str, role: str, now: datetime) -> TodoRow:
    """A todo of which nothing has been decided yet."""
    return TodoRow(
        id=todo_id,
        list_id=list_id,
        parent_id=None,
        position=position,
        title="",
        title_key="",
        description=None,
        priority=3,
        completed_at=None,
        due_date=None,
        due_time=None,
        due_timezone=None,
        due_at=None,
        due_key=None,
        rule=None,
        basis=None,
        anchor=None,
        done=0,
        labels="[]",
        assignee_id=None,
        created_by=actor.user_id,
        created_at=now,
        updated_at=now,
        deleted_at=None,
        deleted_with=None,
        version=1,
        role=role,
    )


def _taken() -> AppException:
    return AppException(Code.ALREADY_EXISTS, "This id is taken.")
