"""The operations of a batch, one after the other, in one transaction."""

from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import NamedTuple
from uuid import UUID

from doable.accounts import access as accounts_access
from doable.accounts.access import Actor
from doable.batch import statements
from doable.batch.plans import Step
from doable.core import streams
from doable.core.db import Transaction
from doable.core.errors import AppException
from doable.core.versions import Expected
from doable.lists.operations import creation as list_creation
from doable.lists.operations import editing as list_editing
from doable.lists.statements import ListRow
from doable.todos.operations import creation, editing, moving, trash
from doable.todos.operations.completion import Once
from doable.todos.statements import TodoRow


class Result(NamedTuple):
    """What has become of a todo or a list, and the last revision that this has made in that list, if any."""

    step: Step
    todo: TodoRow | None
    list: ListRow | None
    revision: int | None
    list_id: UUID


class Batch(NamedTuple):
    """`keyed`: the request has an idempotency key."""

    actor: Actor
    epoch: str
    keyed: bool
    steps: Sequence[Step]


async def run(tx: Transaction, batch: Batch) -> list[Result]:
    """Raises what the first operation that fails raises, with its place in the details."""
    await _lock(tx, batch)
    results: list[Result] = []
    for index, step in enumerate(batch.steps):
        try:
            results.append(await _VERBS[step.op](tx, batch, step))
        except AppException as error:
            details = {"index": index, "ref": step.ref, "details": error.details}
            raise AppException(error.code, error.message, details, headers=error.headers) from error
    return results


async def _lock(tx: Transaction, batch: Batch) -> None:
    """All streams in the order of their ids, before the first operation takes its own.

    Only those that the actor may write to: whoever else holds one would keep its writers waiting.
    """
    actor = batch.actor
    wanted = set(
        await tx.ahead.all(
            statements.WRITABLE,
            actor_id=actor.user_id,
            todo_ids=sorted({todo_id for step in batch.steps for todo_id in _todos(step)}),
            list_ids=sorted({list_id for step in batch.steps for list_id in _lists(actor, step)}),
        )
    )
    if any(step.op == "list.create" for step in batch.steps):
        await accounts_access.alive(tx, actor)  # accounts are locked before streams
        wanted.add(actor.user_id)
    await streams.lock(tx, wanted)


def _todos(step: Step) -> Iterator[UUID]:
    if step.op.startswith("todo.") and not step.creates:
        yield step.id
    parent_id = step.wanted.get("parent_id")
    if parent_id is not None:
        yield parent_id


def _lists(actor: Actor, step: Step) -> Iterator[UUID]:
    if step.op == "list.update":
        yield step.id
    elif "list_id" in step.wanted:
        yield step.wanted["list_id"]
    elif step.op == "todo.create":
        yield actor.inbox_id


async def _create_todo(tx: Transaction, batch: Batch, step: Step) -> Result:
    wanted = dict(step.wanted)
    list_id = wanted.pop("list_id", None)
    row, revision, _ = await creation.create(tx, batch.actor, list_id, creation.New(step.id, wanted))
    return Result(step, row, None, revision, row.list_id)


async def _update_todo(tx: Transaction, batch: Batch, step: Step) -> Result:
    expected, once = _expected(batch, step), Once(keyed=batch.keyed)
    row, revision, _ = await editing.update(tx, batch.actor, step.id, step.wanted, expected, once)
    return Result(step, row, None, revision, row.list_id)


async def _complete_todo(tx: Transaction, batch: Batch, step: Step) -> Result:
    once = Once(step.wanted.get("occurrence"), batch.keyed)
    at = step.wanted.get("completed_at")
    row, revision, _ = await editing.complete(tx, batch.actor, step.id, at, _expected(batch, step), once)
    return Result(step, row, None, revision, row.list_id)


async def _reopen_todo(tx: Transaction, batch: Batch, step: Step) -> Result:
    row, revision, _ = await editing.reopen(tx, batch.actor, step.id, _expected(batch, step))
    return Result(step, row, None, revision, row.list_id)


async def _move_todo(tx: Transaction, batch: Batch, step: Step) -> Result:
    row, revision, _ = await moving.move(tx, batch.actor, step.id, step.wanted, _expected(batch, step))
    return Result(step, row, None, revision, row.list_id)


async def _delete_todo(tx: Transaction, batch: Batch, step: Step) -> Result:
    row, revision, _ = await editing.delete(tx, batch.actor, step.id, _expected(batch, step))
    return Result(step, None, None, revision, row.list_id)


async def _restore_todo(tx: Transaction, batch: Batch, step: Step) -> Result:
    row, revision, _ = await trash.restore(tx, batch.actor, step.id)
    return Result(step, row, None, revision, row.list_id)


async def _create_list(tx: Transaction, batch: Batch, step: Step) -> Result:
    name, color = step.wanted["name"], step.wanted.get("color")
    row, revision, _ = await list_creation.create(tx, batch.actor, step.id, name, color)
    return Result(step, None, row, revision, row.id)


async def _update_list(tx: Transaction, batch: Batch, step: Step) -> Result:
    row, revision, _ = await list_editing.update(tx, batch.actor, step.id, step.wanted, _expected(batch, step))
    return Result(step, None, row, revision, row.id)


def _expected(batch: Batch, step: Step) -> Expected | None:
    return None if step.if_version is None else Expected(batch.epoch, frozenset({step.if_version}))


_VERBS: dict[str, Callable[[Transaction, Batch, Step], Awaitable[Result]]] = {
    "todo.create": _create_todo,
    "todo.update": _update_todo,
    "todo.complete": _complete_todo,
    "todo.reopen": _reopen_todo,
    "todo.move": _move_todo,
    "todo.delete": _delete_todo,
    "todo.restore": _restore_todo,
    "list.create": _create_list,
    "list.update": _update_list,
}
