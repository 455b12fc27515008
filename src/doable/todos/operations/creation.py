"""Todos come to be."""

from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from typing import NamedTuple, cast
from uuid import UUID

from doable.accounts.access import Actor
from doable.core import changes, clock, streams
from doable.core import events as log
from doable.core.changes import Changed
from doable.core.db import Transaction
from doable.core.errors import AppException, Code
from doable.core.queries import Write
from doable.core.streams import Seen
from doable.lists import access as lists_access
from doable.lists.statements import Home
from doable.todos import access, events, fields, ordering, shapes, statements
from doable.todos.operations import trees
from doable.todos.statements import TodoRow

_NOBODY, _NEVER = UUID(int=0), datetime.min.replace(tzinfo=UTC)
_BLANK = TodoRow(
    id=_NOBODY,
    list_id=_NOBODY,
    parent_id=None,
    position="",
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
    created_by=_NOBODY,
    created_at=_NEVER,
    updated_at=_NEVER,
    deleted_at=None,
    deleted_with=None,
    version=1,
    role="",
)
"""A todo of which nothing has been decided yet; what none can be without is no more than a placeholder here."""
_BLANK_COLUMNS = _BLANK._asdict()


class New(NamedTuple):
    """What a person decides of a new todo: `wanted` are its members on the wire that were sent."""

    id: UUID
    wanted: Mapping[str, object]


async def create(
    tx: Transaction, actor: Actor, list_id: UUID | None, new: New, *, alone: bool = False
) -> Changed[TodoRow]:
    """Without a list it comes to its parent's, or into the inbox. `alone`: it is all that the transaction does.

    Raises `ALREADY_EXISTS` for an id that is taken, whoever has it, and `LIMIT_REACHED`.
    """
    made = await _insert(tx, actor, list_id, new, alone=alone)
    if made.revision is None:
        raise _taken()
    return made


async def put(
    tx: Transaction, actor: Actor, list_id: UUID | None, new: New, members: Collection[str]
) -> Changed[TodoRow]:
    """Create, or find that just this is there already: then nothing happens. Only `members` are compared.

    It is all that the transaction does.

    Raises `ALREADY_EXISTS` and `IN_TRASH`; nothing is ever overwritten.
    """
    # First of all: where it was put then may be a place by now where nothing can be put any more.
    present = await tx.look(lambda reader: reader.first(statements.TODO, actor_id=actor.user_id, todo_id=new.id))
    if present is not None:
        await tx.open()
    else:
        made = await _insert(tx, actor, list_id, new, alone=True)
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
    there, wanted = (
        shapes.shown(row).model_dump(include=set(members), exclude={"recurrence": {"done"}})
        for row in (present, new_row(actor, new, named or present.list_id, "", present.role, clock.now()))
    )
    if there != wanted:
        raise _taken()


async def _insert(
    tx: Transaction, actor: Actor, named: UUID | None, new: New, *, alone: bool = False
) -> Changed[TodoRow]:
    """The revision is `None` when the id is taken; the stream has been raised for nothing then."""
    parent_id = cast("UUID | None", new.wanted.get("parent_id"))
    if parent_id is not None:
        parent = await trees.parent(tx.ahead, actor, parent_id, named)
        return await _insert_locked(tx, actor, parent.list_id, parent.role, new)
    list_id = named or actor.inbox_id
    if not (alone and tx.can_be_at_once):
        home = await lists_access.home(tx.ahead, actor, list_id)
        return await _insert_locked(tx, actor, list_id, home.role, new)
    remembered = lists_access.remembered_home(tx, actor, list_id)
    if remembered is not None and (made := await _insert_at_once(tx, actor, remembered, new)) is not None:
        return made
    home = await tx.look(lambda reader: lists_access.home(reader, actor, list_id))
    tx.turns.remember({list_id: home.revision})  # forgotten, perhaps, for what was wrong with this write alone
    is_news = remembered is None or home.revision != remembered.revision  # else it was not for what was believed
    made = await _insert_at_once(tx, actor, home, new) if is_news else None
    return made or await _insert_locked(tx, actor, list_id, home.role, new)


async def _insert_at_once(tx: Transaction, actor: Actor, home: Home, new: New) -> Changed[TodoRow] | None:
    """Without a lock: nothing is written if anybody has written in the list since it was read, or if more is to do.

    Who may write is asked by the statement, too. Nobody waits for a stranger: the turn comes after a look, or a write.
    """
    if home.followed is not None or not tx.can_be_at_once:
        return None
    await tx.turn(home.list_id)
    seen, now = Seen(home.list_id, tx.turns.newest(home.list_id, home.revision)), clock.now()
    row = new_row(actor, new, home.list_id, ordering.at_end(seen.revision + 1), home.role, now)
    cause = log.operation(actor.user_id, now)
    made = Changed(row, seen.revision + 1, shapes.text(row))
    told = events.created(row, made.text)
    if not await changes.write_at_once(tx, seen, made, cause, told, _insertion(actor, row)):
        return None
    tx.turns.admit(home.list_id, actor.user_id, home.role)
    return made


async def _insert_locked(tx: Transaction, actor: Actor, list_id: UUID, role: str, new: New) -> Changed[TodoRow]:
    revision = await streams.bump(tx, list_id)
    row = new_row(actor, new, list_id, ordering.at_end(revision), role, clock.now())
    branch = None if row.parent_id is None else await trees.branch(tx, row.parent_id, list_id, new.id)
    insert = _insertion(actor, row)
    if not await tx.execute(insert.statement, **insert.params):
        # If it is not the id: since we looked, the list has been deleted, or the actor's role has changed.
        await lists_access.writable(tx, actor, list_id)
        await access.refuse_assignee(tx, list_id, row.assignee_id)
        return Changed(row, None)
    if branch is not None:
        trees.refuse_beyond(branch)  # only now: what is there already is no more than there was
    cause = log.operation(actor.user_id, row.created_at)
    text = shapes.text(row)
    await log.append(tx, list_id, revision, cause, events.created(row, text))
    return Changed(row, revision, text)


def _insertion(actor: Actor, row: TodoRow) -> Write:
    values = row._asdict()
    del values["role"]
    values["actor_id"], values["terms"] = actor.user_id, fields.terms(row)
    return Write(statements.INSERT_TODO, values)


def new_row(actor: Actor, new: New, list_id: UUID, position: str, role: str, now: datetime) -> TodoRow:
    """The columns of a new todo. Raises `VALIDATION_ERROR` for what it cannot be."""
    columns = {
        **_BLANK_COLUMNS,
        "id": new.id,
        "list_id": list_id,
        "position": position,
        "created_by": actor.user_id,
        "created_at": now,
        "updated_at": now,
        "role": role,
        **fields.columns(_BLANK, new.wanted, now),
    }
    return TodoRow(**columns)


def _taken() -> AppException:
    return AppException(Code.ALREADY_EXISTS, "This id is taken.")
