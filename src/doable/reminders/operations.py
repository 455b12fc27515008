"""Reminders are made, deleted, moved with what they are about, and fire."""

from collections.abc import Collection
from datetime import datetime, timedelta
from typing import NamedTuple
from uuid import UUID

import orjson

from doable.accounts.access import Actor
from doable.accounts.events import TimezoneChanged, UserDeleted
from doable.core import clock, ids, jobs, streams
from doable.core.db import SerializationFailure, Transaction
from doable.core.errors import AppException, Code, invalid_field, not_found
from doable.core.following import Happened
from doable.core.jobs import Run, job
from doable.lists.events import MemberLeft
from doable.reminders import shapes, statements, times
from doable.reminders.statements import Plan, ReminderRow
from doable.todos import access
from doable.todos import shapes as todo_shapes
from doable.todos import statements as todo_statements
from doable.todos.reminding import Reminded
from doable.todos.statements import TodoRow

MOST = 20
"""Reminders that one person has of one todo."""
AT_ONCE = 200
LATEST = timedelta(hours=24)
"""After that it is missed."""


class New(NamedTuple):
    at: datetime | None
    offset_minutes: int | None
    channels: list[str]


class Appointment(NamedTuple):
    """A reminder, as long as it fires then."""

    reminder_id: UUID
    fires_at: datetime


async def create(tx: Transaction, actor: Actor, todo_id: UUID, new: New) -> ReminderRow:
    """Raises `IN_TRASH`, `LIMIT_REACHED`, and `VALIDATION_ERROR` for an instant that has passed."""
    todo = await access.visible(tx.ahead, actor, todo_id)
    access.refuse_trashed(todo)
    await streams.follow(tx, await streams.lock(tx, [todo.list_id]))
    now, home = clock.now(), todo.list_id
    todo = await access.visible(tx, actor, todo_id)
    access.refuse_trashed(todo)
    if todo.list_id != home:
        raise SerializationFailure("it has moved meanwhile")
    if new.at is not None and new.at <= now:
        raise invalid_field("body.at", "This has passed.")
    if await tx.one(statements.COUNT, actor_id=actor.user_id, todo_id=todo_id) >= MOST:
        raise AppException(Code.LIMIT_REACHED, f"A todo may have {MOST} reminders of yours at most.")
    fires_at = times.fires_at(todo, new.at, new.offset_minutes, actor.timezone)
    channels = orjson.dumps(sorted(set(new.channels))).decode()
    row = ReminderRow(ids.new_id(), todo_id, new.at, new.offset_minutes, channels, fires_at, None)
    settled = fires_at is not None and fires_at <= now
    await tx.execute(statements.INSERT, **row._asdict(), user_id=actor.user_id, settled=settled, created_at=now)
    await _appoint(tx, row.id, None if settled else fires_at)
    return row


async def delete(tx: Transaction, actor: Actor, todo_id: UUID, reminder_id: UUID) -> None:
    await access.visible(tx.ahead, actor, todo_id)
    if not await tx.execute(statements.DELETE, actor_id=actor.user_id, todo_id=todo_id, reminder_id=reminder_id):
        raise not_found("reminder")


async def forget(tx: Transaction, fact: UserDeleted) -> None:
    await tx.execute(statements.DELETE_OF_PERSON, person_id=fact.user_id)


async def leave(tx: Transaction, fact: MemberLeft) -> None:
    await tx.execute(statements.DELETE_OF_MEMBER, person_id=fact.user_id, list_id=fact.list_id)


async def move(tx: Transaction, fact: Happened) -> None:
    """What has happened to todos may be another due, or none any more."""
    data = [orjson.loads(event.data) for event in fact.events if event.kind.startswith("todo.")]
    todo_ids = {UUID(told["todo"]["id"] if "todo" in told else told["todo_id"]) for told in data}
    await _move_those_of(tx, todo_ids, fact.stream_id)


@job("reminders.settle_in")
async def settle_in(run: Run, todo_id: UUID) -> None:
    """A todo with reminders has come into a list that may not be followed yet."""
    async with run.tools.db.transaction() as tx:
        await settle(tx, todo_id)


async def settle(tx: Transaction, todo_id: UUID) -> None:
    for list_id in await tx.all(statements.LIST_OF, todo_id=todo_id):
        await streams.follow(tx, await streams.lock(tx, [list_id]))
        await _move_those_of(tx, [todo_id], list_id)


async def move_home(tx: Transaction, fact: TimezoneChanged) -> None:
    await jobs.enqueue(tx, change_zone, fact.user_id, key=f"reminders:{fact.user_id}")


@job("reminders.change_zone")
async def change_zone(run: Run, user_id: UUID) -> None:
    """Of what is due at no instant somebody is reminded at another one, who lives in another zone now."""
    after: UUID | None = UUID(int=0)
    while after is not None:
        async with run.tools.db.transaction() as tx:
            after = await shift(tx, user_id, after)


async def shift(tx: Transaction, user_id: UUID, after: UUID) -> UUID | None:
    """The last of the reminders that were looked at, if there may be more. What has fired has, in any zone."""
    now = clock.now()
    plans = await tx.all(statements.OF_PERSON, person_id=user_id, after=after, most=AT_ONCE)
    for plan in plans:
        fires_at = times.fires_at(await _todo(tx, plan), plan.at, plan.offset_minutes, plan.timezone)
        if not plan.settled:
            await _set(tx, plan, fires_at, now)
        elif fires_at is not None:
            await tx.execute(statements.SHIFT, reminder_id=plan.id, new_fires_at=fires_at)
    return plans[-1].id if len(plans) == AT_ONCE else None


@job("reminders.fire")
async def fire(run: Run, appointment: Appointment) -> None:
    async with run.tools.db.transaction() as tx:
        await keep(tx, appointment)


async def keep(tx: Transaction, appointment: Appointment) -> None:
    """Fire, unless it has been moved, or has fired: its channels are served by jobs of this very transaction."""
    plan = await tx.first(statements.PLAN, reminder_id=appointment.reminder_id)
    if plan is None or plan.settled or plan.fires_at != appointment.fires_at:
        return
    todo = await _todo(tx, plan)
    planned = times.fires_at(todo, plan.at, plan.offset_minutes, plan.timezone)
    now = clock.now()
    if todo is None or planned != plan.fires_at:
        await _set(tx, plan, planned, now)
        return
    missed = now - appointment.fires_at > LATEST or plan.disabled_at is not None
    fired_at = None if missed else now
    settled = await tx.execute(statements.SETTLE, reminder_id=plan.id, planned=plan.fires_at, now=fired_at)
    if settled and fired_at is not None:
        await _remind(tx, plan, todo, fired_at)


async def _remind(tx: Transaction, plan: Plan, todo: TodoRow, now: datetime) -> None:
    channels = frozenset(orjson.loads(plan.channels))
    data = {
        "reminder": {**shapes.reminder(plan).model_dump(mode="json"), "fired_at": clock.iso(now)},
        "todo": todo_shapes.wire(todo),
    }
    told = orjson.dumps(data).decode()
    await tx.tell(Reminded(plan.id, plan.user_id, plan.username, todo.list_id, now, channels, told))


async def _move_those_of(tx: Transaction, todo_ids: Collection[UUID], list_id: UUID) -> None:
    now = clock.now()
    for plan in await tx.all(statements.OF_TODOS, todo_ids=list(todo_ids)) if todo_ids else ():
        todo = await _todo(tx, plan)
        if todo is not None and todo.list_id != list_id:
            await jobs.enqueue(tx, settle_in, todo.id, key=f"reminders:{todo.id}")
        await _set(tx, plan, times.fires_at(todo, plan.at, plan.offset_minutes, plan.timezone), now)


async def _set(tx: Transaction, plan: Plan, fires_at: datetime | None, now: datetime) -> None:
    """An instant that has passed already is not made up for."""
    if fires_at == plan.fires_at or (plan.settled and (plan.at is not None or fires_at is None)):
        return
    settled = fires_at is not None and fires_at <= now
    await tx.execute(statements.MOVE, reminder_id=plan.id, new_fires_at=fires_at, new_settled=settled)
    await _appoint(tx, plan.id, None if settled else fires_at)


async def _appoint(tx: Transaction, reminder_id: UUID, fires_at: datetime | None) -> None:
    if fires_at is not None:
        key = f"reminder:{reminder_id}:{fires_at.timestamp():.3f}"
        await jobs.enqueue(tx, fire, Appointment(reminder_id, fires_at), run_at=fires_at, key=key)


async def _todo(tx: Transaction, plan: Plan) -> TodoRow | None:
    """As the one who is reminded sees it."""
    return await tx.first(todo_statements.TODO, actor_id=plan.user_id, todo_id=plan.todo_id)
