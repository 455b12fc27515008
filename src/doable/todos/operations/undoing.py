"""What somebody has done in a list is taken back, where nothing newer stands in the way."""

from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

import orjson
from pydantic import ValidationError

from doable.accounts.access import Actor
from doable.core import clock, streams
from doable.core import events as log
from doable.core.db import Transaction
from doable.core.errors import AppException, Code, not_found
from doable.core.events import EventRow
from doable.lists import access as lists_access
from doable.lists import shapes as lists_shapes
from doable.lists.operations import editing as lists_editing
from doable.todos import access, events, fields, reversal, schedule, shapes
from doable.todos.operations import completion, editing, moving, trash, trees
from doable.todos.operations.completion import Once
from doable.todos.operations.trees import Step
from doable.todos.reversal import Json
from doable.todos.statements import DELETE_LAST_OCCURRENCE, TodoRow
from doable.todos.statements import trees as statements
from doable.todos.statements.undoing import OPERATION, Done

MOST = 1_000
"""Events before and after the one that is named, among which those of its operation are looked for."""


class Deed(NamedTuple):
    """What is to be undone. The list is locked, and its members stay who they are."""

    actor: Actor
    list_id: UUID
    events: Sequence[Done]

    @property
    def data(self) -> list[Json]:
        return [orjson.loads(event.data) for event in self.events]


type Reversal = Callable[[Transaction, Deed], Awaitable[int | None]]


async def undo(tx: Transaction, actor: Actor, list_id: UUID, revision: int) -> list[EventRow]:
    """Take back the operation that an event belongs to, as one operation; the events that this makes.

    Raises `FORBIDDEN` for what others have done, `POSITION_LOST` for what the log does not have any more, and
    `UNDO_CONFLICT` with a `reason`: `kind` (such a thing cannot be undone), `changed` since then, `gone` from the list,
    `in_trash`, or `refused` by a rule: then `code` and `details` are those of its error.
    """
    await lists_access.writable(tx.ahead, actor, list_id)
    locked = await streams.lock(tx, [list_id])
    await lists_access.writable(tx, actor, list_id)
    last = locked[list_id]
    deed = Deed(actor, list_id, await _operation(tx, actor, list_id, revision, last))
    made = await _reversal(deed)(tx, deed)
    return [] if made is None else await log.since(tx, list_id, last, made, made - last)


async def _operation(tx: Transaction, actor: Actor, list_id: UUID, revision: int, last: int) -> list[Done]:
    """Events have one instant with their operation, so the log is never cut between them."""
    if revision > last:
        raise not_found("event")
    lowest, highest = revision - MOST, revision + MOST
    done = await tx.all(OPERATION, list_id=list_id, revision=revision, lowest=lowest, highest=highest)
    if not done:
        raise log.position_lost()
    if done[0].actor_id != actor.user_id:
        raise AppException(Code.FORBIDDEN, "Only who has done this can undo it.")
    if done[0].revision == lowest or done[-1].revision == highest:
        raise _conflict("kind", "This is too much to be undone at once.")
    return done


def _reversal(deed: Deed) -> Reversal:
    kinds = {event.kind for event in deed.events}
    for undoable, reverse in _REVERSALS:
        if kinds <= undoable:
            return reverse
    raise _conflict("kind", "Such a thing cannot be undone.", kinds=sorted(kinds))


async def _change_list_back(tx: Transaction, deed: Deed) -> int | None:
    changes = deed.data[0]["changes"]
    if "owner_id" in changes:
        raise _conflict("kind", "Only its owner can give a list to somebody else.")
    deed.actor.need("lists:write")
    row = await lists_access.writable(tx, deed.actor, deed.list_id)
    _refuse_changed(lists_shapes.shown(row).model_dump(mode="json"), changes)
    wanted = {name: change["from"] for name, change in changes.items()}
    if "archived_at" in wanted:
        at = wanted.pop("archived_at")
        wanted["archived"] = at is not None and datetime.fromisoformat(at)
    with _refusals():
        return (await lists_editing.update(tx, deed.actor, deed.list_id, wanted)).revision


async def _put_in_trash(tx: Transaction, deed: Deed) -> int | None:
    """What was created or restored: the first one and all below it, which has to be just what came with it."""
    first, *others = await _rows(tx, deed)
    for row, data in zip((first, *others), deed.data, strict=True):
        if row.version != data["todo"]["version"]:
            raise _conflict("changed", "It has been changed since.", todo_id=str(row.id))
    below = await tx.all(statements.SUBTASKS, actor_id=deed.actor.user_id, todo_id=first.id)
    if {row.id for row in below} != {row.id for row in others}:
        raise _conflict("changed", "There are others below it now.", todo_id=str(first.id))
    with _refusals():
        return (await editing.delete(tx, deed.actor, first.id)).revision


async def _take_out_of_trash(tx: Transaction, deed: Deed) -> int | None:
    row, *_ = await _rows(tx, deed, trashed=True)
    if row.deleted_at != deed.events[0].at:
        raise _conflict("changed", "It has been changed since.", todo_id=str(row.id))
    with _refusals():
        return (await trash.restore(tx, deed.actor, row.id)).revision


async def _move_back(tx: Transaction, deed: Deed) -> int | None:
    """The first one is whom somebody has moved; the others have made room, which tells where it was among them."""
    row, *others = await _rows(tx, deed)
    changes, *made_room = [data["changes"] for data in deed.data]
    _refuse_changed(shapes.wire(row), changes, row.id)
    before = {name: change["from"] for name, change in changes.items()}
    parent_id = UUID(before["parent_id"]) if before.get("parent_id") else before.get("parent_id", row.parent_id)
    place = before.get("position", row.position)
    were = {
        other.id: change["position"]["from"]
        for other, change in zip(others, made_room, strict=True)
        if other.position == change["position"]["to"]
    }
    above = {} if parent_id is None else {"parent_id": parent_id}
    siblings = await tx.all(statements.siblings(top=parent_id is None), list_id=deed.list_id, todo_id=row.id, **above)
    behind = [(were.get(id_, position), id_) for id_, position in siblings]
    following = min((entry for entry in behind if entry[0] > place), default=None)
    anchor = {} if following is None else {"before": following[1]}
    with _refusals():
        return (await moving.move(tx, deed.actor, row.id, {"parent_id": parent_id, **anchor})).revision


async def _set_back(tx: Transaction, deed: Deed) -> int | None:
    now = clock.now()
    steps: list[Step] = []
    for row, data, event in zip(await _rows(tx, deed), deed.data, deed.events, strict=True):
        _refuse_changed(shapes.wire(row), data["changes"], row.id)
        with _refusals():
            set_back = _rolled_back if event.kind == "todo.rolled" else _changed_back
            new = await set_back(tx, deed.actor, row, data["changes"], now)
            after = row._replace(**new, updated_at=now, version=row.version + 1)
            if after.assignee_id != row.assignee_id:
                await access.refuse_assignee(tx, deed.list_id, after.assignee_id)
        if not reversal.is_as_before(shapes.wire(after), data["changes"]):
            raise _conflict("refused", "It would not become what it was.", todo_id=str(row.id))
        steps.append(Step(row, after))
    await trees.write(tx, deed.actor, steps)
    told = {deed.list_id: [events.changed(*step) for step in steps]}
    return (await log.record(tx, log.operation(deed.actor.user_id, now), told))[deed.list_id]


async def _changed_back(tx: Transaction, actor: Actor, row: TodoRow, changes: Json, now: datetime) -> Mapping[str, Any]:
    wanted = reversal.wanted(changes)
    new = completion.columns(actor, row, wanted, Once(), now)
    taken = await completion.taken_back(tx, row, new)
    await completion.note(tx, actor, row, wanted, now, taken)
    return {**new, **taken}


async def _rolled_back(tx: Transaction, _actor: Actor, row: TodoRow, changes: Json, now: datetime) -> Mapping[str, Any]:
    """Due when it was, and the occurrence has not been done; the rule goes on from where it began."""
    was, is_now = changes["recurrence"]["from"], changes["recurrence"]["to"]
    if was is None or (was["rule"], was["basis"]) != (is_now["rule"], is_now["basis"]):
        raise _conflict("kind", "It was made to recur and completed at once.", todo_id=str(row.id))
    others = {name: change for name, change in changes.items() if name not in {"due", "recurrence"}}
    due = reversal.due(changes["due"]["from"])
    await tx.execute(DELETE_LAST_OCCURRENCE, noted_id=row.id)
    return {**fields.columns(row, reversal.wanted(others), now), **schedule.due_columns(due), "done": was["done"]}


async def _rows(tx: Transaction, deed: Deed, *, trashed: bool = False) -> list[TodoRow]:
    """The todos of the events as they are now, which have to be in this list, and in the trash or not."""
    todo_ids = [UUID(data["todo"]["id"] if "todo" in data else data["todo_id"]) for data in deed.data]
    found = {row.id: row for row in await tx.all(statements.SOME, actor_id=deed.actor.user_id, todo_ids=todo_ids)}
    for todo_id, data in zip(todo_ids, deed.data, strict=True):
        row = found.get(todo_id)
        purged = not trashed and "todo" not in data  # if it is there, it is another one with the same id
        if row is None or row.list_id != deed.list_id or purged:
            raise _conflict("gone", "It is not in this list any more.", todo_id=str(todo_id))
        if not trashed and row.deleted_at is not None:
            raise _conflict("in_trash", "It is in the trash.", todo_id=str(todo_id))
    return [found[todo_id] for todo_id in todo_ids]


def _refuse_changed(shown: Json, changes: Json, todo_id: UUID | None = None) -> None:
    if changed := reversal.differing(shown, changes):
        about = {} if todo_id is None else {"todo_id": str(todo_id)}
        raise _conflict("changed", "It has been changed since.", **about, fields=changed)


@contextmanager
def _refusals() -> Iterator[None]:
    """A rule that does not allow what was before any more is in the way like a newer change."""
    try:
        yield
    except ValidationError as error:
        raise _conflict("refused", "What it was is not valid any more.") from error
    except AppException as error:
        if error.code is Code.UNDO_CONFLICT:
            raise
        raise _conflict("refused", error.message, code=error.code, details=error.details) from error


def _conflict(reason: str, message: str, **details: object) -> AppException:
    return AppException(Code.UNDO_CONFLICT, message, {"reason": reason, **details})


_REVERSALS: tuple[tuple[frozenset[str], Reversal], ...] = (
    (frozenset({"list.updated"}), _change_list_back),
    (frozenset({"todo.created"}), _put_in_trash),
    (frozenset({"todo.restored"}), _put_in_trash),
    (frozenset({"todo.deleted"}), _take_out_of_trash),
    (frozenset({"todo.moved"}), _move_back),
    (frozenset({"todo.updated", "todo.completed", "todo.reopened", "todo.rolled"}), _set_back),
)
"""How the events of one operation are undone, by the kinds that they may have."""
