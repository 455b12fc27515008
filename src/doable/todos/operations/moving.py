"""Todos change their place: among their siblings, below another todo, in another list."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from doable.accounts.access import Actor
from doable.core import clock, versions
from doable.core import events as log
from doable.core.changes import Changed
from doable.core.db import Transaction
from doable.core.errors import AppException, Code
from doable.core.events import Event
from doable.core.queries import Reader
from doable.core.versions import Expected
from doable.lists import access as lists_access
from doable.todos import access, events, ordering
from doable.todos.operations import trees
from doable.todos.operations.trees import Step
from doable.todos.statements import TodoRow
from doable.todos.statements import trees as statements


class Place(NamedTuple):
    """`anchor_id`: the sibling that shall come right after the todo, or right before it; without one it is the last.

    `revision`: the last one of the list, which is locked.
    """

    list_id: UUID
    parent_id: UUID | None
    anchor_id: UUID | None
    before: bool
    revision: int

    @property
    def end(self) -> str:
        return ordering.at_end(self.revision + 1)


class Gap(NamedTuple):
    left: str
    right: str | None


class Room(NamedTuple):
    """A position that is free, and new ones for those siblings that made room for it."""

    position: str
    renewed: Mapping[UUID, str]


async def move(
    tx: Transaction, actor: Actor, todo_id: UUID, wanted: Mapping[str, Any], expected: Expected | None = None
) -> Changed[TodoRow]:
    """Put a todo with all below it somewhere else: `wanted` has members of `TodoPlace` as they were sent.

    The revision is that of the list where it is then. Raises `CONFLICT` when the anchor is not there, and for a place
    below the todo itself; `IN_TRASH`, `LIMIT_REACHED`, and for a parent what `trees.parent` raises.
    """

    async def find(reader: Reader) -> TodoRow:
        return await _movable(reader, actor, todo_id, wanted, expected)

    ahead = await find(tx.ahead)
    target = wanted.get("list_id", ahead.list_id)
    row, revisions = await trees.locked(tx, ahead, find, target)
    above = wanted.get("parent_id", row.parent_id if target == row.list_id else None)
    anchor_id = wanted.get("before") or wanted.get("after")
    place = Place(target, above, anchor_id, "before" in wanted, revisions[target])
    same_parent = (target, above) == (row.list_id, row.parent_id)
    subtasks = [] if same_parent else await _subtasks(tx, actor, row, place)
    gap = await _gap(tx, row, place)
    if same_parent and gap.left < row.position and (gap.right is None or row.position < gap.right):
        return Changed(row, None)
    room = await _room(tx, row, place, gap)
    return await _put(tx, actor, [row, *subtasks], place, room)


async def _movable(
    reader: Reader, actor: Actor, todo_id: UUID, wanted: Mapping[str, Any], expected: Expected | None
) -> TodoRow:
    row = await access.visible(reader, actor, todo_id)
    roles = [row.role]
    if "list_id" in wanted and wanted["list_id"] != row.list_id:
        target = await lists_access.visible(reader, actor, wanted["list_id"])
        roles.append(target.role)
    if wanted.get("parent_id") is not None:
        await access.visible(reader, actor, wanted["parent_id"])
    for role in roles:  # only now: what cannot be seen is refused before what may not be done
        lists_access.require(role, lists_access.WRITERS)
    versions.check(expected, row.version)
    access.refuse_trashed(row)
    return row


async def _subtasks(tx: Transaction, actor: Actor, row: TodoRow, place: Place) -> list[TodoRow]:
    """What goes with it, where it may."""
    subtasks = await tx.all(statements.SUBTASKS, actor_id=actor.user_id, todo_id=row.id)
    if place.parent_id is not None:
        await trees.parent(tx, actor, place.parent_id, place.list_id)
        branch = await trees.branch(tx, place.parent_id, place.list_id, row.id)
        if branch.moves:
            raise AppException(Code.CONFLICT, "A todo cannot be below itself.")
        trees.refuse_beyond(branch, subtasks)
    return subtasks


async def _gap(tx: Transaction, row: TodoRow, place: Place) -> Gap:
    """The positions between which it shall be."""
    backwards = place.before or place.anchor_id is None
    found = await tx.all(
        statements.neighbours(top=place.parent_id is None, backwards=backwards, anchored=place.anchor_id is not None),
        **_siblings(row, place),
        **({} if place.anchor_id is None else {"anchor_id": place.anchor_id}),
    )
    if place.anchor_id is None:
        return Gap(found[0].position if found else "", None)
    if not found or found[0].id != place.anchor_id:
        raise AppException(Code.CONFLICT, "The todo to put it beside is not there.")
    beyond = found[1].position if len(found) > 1 else None
    if place.before:
        return Gap(beyond or "", found[0].position)
    return Gap(found[0].position, beyond)


async def _room(tx: Transaction, row: TodoRow, place: Place, gap: Gap) -> Room:
    if gap.right is None:
        return Room(place.end, {})
    if (position := ordering.between(gap.left, gap.right)) is not None:
        return Room(position, {})
    siblings = await tx.all(statements.siblings(top=place.parent_id is None), **_siblings(row, place))
    anchor = next(n for n, sibling in enumerate(siblings) if sibling.id == place.anchor_id)
    index = anchor if place.before else anchor + 1
    start, renewed = ordering.spread([sibling.position for sibling in siblings], index, place.end)
    position = renewed.pop(index - start)
    return Room(position, {siblings[start + n].id: new for n, new in enumerate(renewed)})


def _siblings(row: TodoRow, place: Place) -> dict[str, object]:
    above = {} if place.parent_id is None else {"parent_id": place.parent_id}
    return {"todo_id": row.id, "list_id": place.list_id, **above}


async def _put(tx: Transaction, actor: Actor, rows: list[TodoRow], place: Place, room: Room) -> Changed[TodoRow]:
    """Write and tell it; the first of the rows is the one that moves, the others go with it to another list."""
    row, *subtasks = rows
    now = clock.now()
    source = row.list_id
    told: dict[UUID, list[Event]] = {place.list_id: []}
    after = _changed(row, now, list_id=place.list_id, parent_id=place.parent_id, position=room.position)
    if source == place.list_id:
        steps = [Step(row, after)]
        told[source].append(events.changed(row, after))
    else:
        steps = await _to_other_list(
            tx, actor, [Step(row, after), *(Step(task, task) for task in subtasks)], place, now
        )
        told[place.list_id] += [events.arrived(step.after) for step in steps]
        told[source] = [events.departed(step.before.id) for step in steps]
    if room.renewed:
        siblings = await tx.all(statements.SOME, actor_id=actor.user_id, todo_ids=list(room.renewed))
        moved = [Step(other, _changed(other, now, position=room.renewed[other.id])) for other in siblings]
        told[place.list_id] += [events.changed(*step) for step in moved]
        steps += moved
    await trees.write(tx, actor, steps)
    raised = await log.record(tx, log.operation(actor.user_id, now), told)
    return Changed(steps[0].after, raised[place.list_id])


async def _to_other_list(tx: Transaction, actor: Actor, steps: list[Step], place: Place, now: datetime) -> list[Step]:
    """As they are in the other list: behind what is there, in their order, and assigned only to its members."""
    ids = [step.before.id for step in steps]
    await tx.execute(statements.LEAVE_IN_TRASH, actor_id=actor.user_id, todo_ids=ids, now=now)
    assignees = {step.before.assignee_id for step in steps} - {None}
    members = (
        set(await tx.all(statements.MEMBERS, list_id=place.list_id, user_ids=list(assignees))) if assignees else set()
    )
    return [
        Step(
            before,
            _changed(
                before,
                now,
                list_id=place.list_id,
                parent_id=after.parent_id,
                # From the revision of its own event, as if it were new: what is made later comes behind it.
                position=after.position if number == 1 else ordering.at_end(place.revision + number),
                assignee_id=before.assignee_id if before.assignee_id in members else None,
            ),
        )
        for number, (before, after) in enumerate(steps, 1)
    ]


def _changed(row: TodoRow, now: datetime, **new: Any) -> TodoRow:
    return row._replace(**new, updated_at=now, version=row.version + 1)
