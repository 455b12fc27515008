"""What may happen to a todo. No HTTP here."""

from collections.abc import Callable, Collection, Mapping
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from doable.accounts.access import Actor
from doable.core import changes, clock, streams, text
from doable.core import events as log
from doable.core.changes import Change, Changed
from doable.core.db import Transaction
from doable.core.errors import AppException, Code
from doable.core.queries import Reader
from doable.core.versions import Expected
from doable.lists import access as lists_access
from doable.todos import access, events, ordering, shapes, statements
from doable.todos.statements import TodoRow

SORTED_LENGTH = 200
"""Code points of a title that count for its order: compatibility forms can be eighteen times as long as the title."""


class New(NamedTuple):
    """What a person decides of a new todo."""

    id: UUID
    title: str
    description: str | None
    priority: int


async def create(tx: Transaction, actor: Actor, list_id: UUID, new: New) -> Changed[TodoRow]:
    """Raises `ALREADY_EXISTS` for an id that is taken, whoever has it."""
    made = await _insert(tx, actor, list_id, new)
    if made.revision is None:
        raise _taken()
    return made


async def put(tx: Transaction, actor: Actor, list_id: UUID, new: New, members: Collection[str]) -> Changed[TodoRow]:
    """Create, or find that just this is there already: then nothing happens. Only `members` are compared.

    Raises `ALREADY_EXISTS` and `IN_TRASH`; nothing is ever overwritten.
    """
    made = await _insert(tx, actor, list_id, new)
    if made.revision is not None:
        return made
    present = await tx.first(statements.TODO, actor_id=actor.user_id, todo_id=new.id)
    if present is None:
        raise _taken()
    lists_access.require(present.role, lists_access.WRITERS)
    access.refuse_trashed(present)
    there, wanted = (shapes.shown(row).model_dump(include=set(members)) for row in (present, made.row))
    if there != wanted:
        raise _taken()
    await streams.take_back(tx, list_id)
    return Changed(present, None)


async def update(
    tx: Transaction, actor: Actor, todo_id: UUID, wanted: dict[str, object], expected: Expected | None = None
) -> Changed[TodoRow]:
    """Apply `title`, `description`, `priority` and `completed`; what is not in `wanted` is not touched.

    Raises `PRECONDITION_FAILED` unless the todo has an `expected` version, as all that changes one does.
    """
    return await _change(tx, actor, todo_id, wanted, expected, access.refuse_trashed)


async def complete(
    tx: Transaction, actor: Actor, todo_id: UUID, at: datetime | None = None, expected: Expected | None = None
) -> Changed[TodoRow]:
    """Nothing happens to a todo that is completed already."""
    return await update(tx, actor, todo_id, {"completed": at or True}, expected)


async def reopen(tx: Transaction, actor: Actor, todo_id: UUID, expected: Expected | None = None) -> Changed[TodoRow]:
    return await update(tx, actor, todo_id, {"completed": False}, expected)


async def delete(tx: Transaction, actor: Actor, todo_id: UUID, expected: Expected | None = None) -> Changed[TodoRow]:
    """Put a todo in the trash; nothing happens to one that is there already."""
    return await _change(tx, actor, todo_id, {"deleted": True}, expected)


async def _insert(tx: Transaction, actor: Actor, list_id: UUID, new: New) -> Changed[TodoRow]:
    """The revision is `None` when the id is taken; the stream has been raised for nothing then."""
    home = await lists_access.writable(tx.ahead, actor, list_id)
    revision = await streams.bump(tx, list_id)
    row = _new_row(actor, list_id, new, ordering.at_end(revision), home.role)
    values = row._asdict()
    del values["role"]
    if not await tx.execute(statements.INSERT_TODO, actor_id=actor.user_id, **values):
        # If it is not the id: since we looked, the list has been deleted, or the actor's role has changed.
        await lists_access.writable(tx, actor, list_id)
        return Changed(row, None)
    cause = log.operation(actor.user_id, row.created_at)
    await log.append(tx, list_id, revision, cause, events.created(row))
    return Changed(row, revision)


async def _change(
    tx: Transaction,
    actor: Actor,
    todo_id: UUID,
    wanted: dict[str, object],
    expected: Expected | None,
    refuse: Callable[[TodoRow], None] | None = None,
) -> Changed[TodoRow]:
    async def find(reader: Reader) -> TodoRow:
        return await access.writable(reader, actor, todo_id)

    async def write(tx: Transaction, row: TodoRow, new: Mapping[str, Any], now: datetime) -> TodoRow | None:
        version = await tx.first(
            statements.update_todo(frozenset(new)),
            actor_id=actor.user_id,
            todo_id=row.id,
            home_id=row.list_id,
            seen=row.version,
            now=now,
            **{f"new_{field}": value for field, value in new.items()},
        )
        return None if version is None else row._replace(updated_at=now, version=version, **new)

    def differences(row: TodoRow, now: datetime) -> dict[str, Any]:
        return _differences(row, wanted, now)

    change = Change(
        find=find,
        shows=lambda row: (row.version,),
        stream=lambda row: row.list_id,
        differences=differences,
        write=write,
        event=events.changed,
        actor_id=actor.user_id,
        refuse=refuse,
        expected=expected,
    )
    return await changes.apply(tx, change)


def _differences(row: TodoRow, wanted: dict[str, object], now: datetime) -> dict[str, Any]:
    """`completed` and `deleted` become instants; the sort key follows the title."""
    new = changes.instants(row, wanted, now, "completed", "deleted")
    if isinstance(title := new.get("title"), str):
        new["title_key"] = sort_key(title)
    return {field: value for field, value in new.items() if getattr(row, field) != value}


def _new_row(actor: Actor, list_id: UUID, new: New, position: str, role: str) -> TodoRow:
    now = clock.now()
    return TodoRow(
        id=new.id,
        list_id=list_id,
        position=position,
        title=new.title,
        title_key=sort_key(new.title),
        description=new.description,
        priority=new.priority,
        completed_at=None,
        created_by=actor.user_id,
        created_at=now,
        updated_at=now,
        deleted_at=None,
        version=1,
        role=role,
    )


def sort_key(title: str) -> str:
    """Titles that are equal so far are in the order of their ids."""
    return text.key(title)[:SORTED_LENGTH]


def _taken() -> AppException:
    return AppException(Code.ALREADY_EXISTS, "This id is taken.")
