"""Out of the trash: back to where it was, or gone for good."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from doable.accounts.access import Actor
from doable.core import clock, streams
from doable.core import events as log
from doable.core.changes import Changed
from doable.core.db import Transaction
from doable.core.errors import not_found
from doable.core.queries import Reader
from doable.lists import access as lists_access
from doable.lists.events import ListGoes
from doable.todos import access, events, ordering
from doable.todos.operations import trees
from doable.todos.operations.trees import Step
from doable.todos.statements import TodoRow
from doable.todos.statements import trash as statements
from doable.todos.statements import trees as statements_of_trees


async def restore(tx: Transaction, actor: Actor, todo_id: UUID) -> Changed[TodoRow]:
    """Bring a todo back with what went with it; nothing happens to one that is not in the trash.

    When there is no todo above it any more it comes to the top, and when its position is taken to the end.
    Raises `LIMIT_REACHED`.
    """

    async def find(reader: Reader) -> TodoRow:
        return await access.writable(reader, actor, todo_id)

    row = await find(tx.ahead)
    if row.deleted_at is None:
        return Changed(row, None)
    row, revisions = await trees.locked(tx, row, find)
    if row.deleted_at is None:
        return Changed(row, None)
    now = clock.now()
    along = await tx.all(
        statements_of_trees.TAKEN_ALONG, actor_id=actor.user_id, todo_id=row.id, deleted_with=row.deleted_with
    )
    parent_id = await _parent(tx, row, along)
    position = await _position(tx, row, parent_id, revisions[row.list_id])
    steps = [
        Step(row, _restored(row, now, parent_id=parent_id, position=position)),
        *(Step(other, _restored(other, now)) for other in along),
    ]
    await trees.write(tx, actor, steps)
    told = {row.list_id: [events.changed(*step) for step in steps]}
    raised = await log.record(tx, log.operation(actor.user_id, now), told)
    return Changed(steps[0].after, raised[row.list_id])


async def purge(tx: Transaction, actor: Actor, todo_id: UUID) -> int:
    """Delete a todo of the trash for good, with all below it. The revision that this made. Raises `FORBIDDEN`."""

    async def find(reader: Reader) -> TodoRow:
        return await _of_owner(reader, actor, todo_id)

    row, _ = await trees.locked(tx, await find(tx.ahead), find)
    raised = await _purge(tx, actor.user_id, [todo_id])
    return raised[row.list_id]


async def purge_expired(tx: Transaction, before: datetime, most: int) -> int:
    """Purge, of all lists, what went into the trash before that, the oldest first. How many, 0 at the end."""
    ahead = await tx.ahead.all(statements.EXPIRED, before=before, most=most)
    locked = await streams.lock(tx, {expired.list_id for expired in ahead})
    expired = await tx.all(statements.EXPIRED, before=before, most=most) if locked else []
    todo_ids = [trashed.id for trashed in expired if trashed.list_id in locked]
    await _purge(tx, None, todo_ids)
    return len(todo_ids)


async def go_with_list(tx: Transaction, fact: ListGoes) -> None:
    fact.more = await tx.execute(statements.DELETE_LEAVES, list_id=fact.list_id, most=fact.most) > 0 or fact.more


async def _parent(tx: Transaction, row: TodoRow, along: Sequence[TodoRow]) -> UUID | None:
    """The todo that it is below again, unless that is gone, or in the trash, or in another list."""
    if row.parent_id is None:
        return None
    branch = await tx.first(statements_of_trees.BRANCH, parent_id=row.parent_id, todo_id=row.id)
    if branch is None or branch.deleted_at is not None or branch.list_id != row.list_id:
        return None
    trees.refuse_beyond(branch, along)
    return row.parent_id


async def _position(tx: Transaction, row: TodoRow, parent_id: UUID | None, revision: int) -> str:
    taken = await tx.first(
        statements_of_trees.sibling_at(top=parent_id is None),
        todo_id=row.id,
        list_id=row.list_id,
        position=row.position,
        **({} if parent_id is None else {"parent_id": parent_id}),
    )
    return row.position if taken is None else ordering.at_end(revision + 1)


def _restored(row: TodoRow, now: datetime, **new: Any) -> TodoRow:
    return row._replace(**new, deleted_at=None, deleted_with=None, updated_at=now, version=row.version + 1)


async def _of_owner(reader: Reader, actor: Actor, todo_id: UUID) -> TodoRow:
    row = await access.visible(reader, actor, todo_id)
    if row.deleted_at is None:
        raise not_found("todo in the trash")
    lists_access.require(row.role, lists_access.OWNERS)
    return row


async def _purge(tx: Transaction, actor_id: UUID | None, todo_ids: list[UUID]) -> dict[UUID, int]:
    """Of lists that are locked: the rows, and in the log all that was told of them. The revisions that this made."""
    if not todo_ids:
        return {}
    gone = await tx.all(statements.TREES, todo_ids=todo_ids)
    told: dict[UUID, list[log.Event]] = {}
    for trashed in gone:
        told.setdefault(trashed.list_id, []).append(events.purged(trashed.id))
    await tx.execute(statements.DELETE, todo_ids=todo_ids)
    await tx.many(
        statements.EMPTY,
        [{"gone_id": trashed.id, "home_id": trashed.list_id, "left": events.emptied(trashed.id)} for trashed in gone],
    )
    return await log.record(tx, log.operation(actor_id, clock.now()), told)
