"""What can be asked about reminders, and done to them."""

from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import Integer, bindparam, delete, func, insert, select, update

from doable.accounts.tables import users
from doable.core.pages import Order, listing
from doable.core.queries import Query, query, scalar
from doable.reminders.tables import reminders
from doable.todos.tables import todos


class ReminderRow(NamedTuple):
    id: UUID
    todo_id: UUID
    at: datetime | None
    offset_minutes: int | None
    channels: str
    fires_at: datetime | None
    fired_at: datetime | None


class Plan(NamedTuple):
    """A reminder, and whom it is for."""

    id: UUID
    todo_id: UUID
    at: datetime | None
    offset_minutes: int | None
    channels: str
    fires_at: datetime | None
    settled: bool
    user_id: UUID
    username: str
    email: str
    email_verified_at: datetime | None
    timezone: str
    disabled_at: datetime | None


_MINE = (
    reminders.c.todo_id == bindparam("todo_id"),
    reminders.c.user_id == bindparam("actor_id"),
)
REMINDERS = listing(
    "reminders",
    ReminderRow,
    select(*(reminders.c[name] for name in ReminderRow._fields)).where(*_MINE),
    Order("id", reminders.c.id),
)
COUNT: Query[int] = query(scalar, select(func.count().label("there")).select_from(reminders).where(*_MINE))
INSERT = insert(reminders)
DELETE = delete(reminders).where(reminders.c.id == bindparam("reminder_id"), *_MINE)
DELETE_OF_PERSON = delete(reminders).where(reminders.c.user_id == bindparam("person_id"))
DELETE_OF_MEMBER = delete(reminders).where(
    reminders.c.user_id == bindparam("person_id"),
    reminders.c.todo_id.in_(select(todos.c.id).where(todos.c.list_id == bindparam("list_id"))),
)

_PLAN = select(
    *(users.c[name] if name in users.c and name not in reminders.c else reminders.c[name] for name in Plan._fields)
).join_from(reminders, users, users.c.id == reminders.c.user_id)
PLAN: Query[Plan] = query(Plan, _PLAN.where(reminders.c.id == bindparam("reminder_id")))
OF_TODOS: Query[Plan] = query(
    Plan, _PLAN.where(reminders.c.todo_id.in_(bindparam("todo_ids", expanding=True))).order_by(reminders.c.id)
)
OF_PERSON: Query[Plan] = query(
    Plan,
    _PLAN.where(
        reminders.c.user_id == bindparam("person_id"),
        reminders.c.offset_minutes.is_not(None),
        reminders.c.id > bindparam("after"),
    )
    .order_by(reminders.c.id)
    .limit(bindparam("most", type_=Integer)),
)

LIST_OF: Query[UUID] = query(scalar, select(todos.c.list_id).where(todos.c.id == bindparam("todo_id")))

_INSTANT = reminders.c.fires_at.type
_ONE = update(reminders).where(reminders.c.id == bindparam("reminder_id"))
MOVE = _ONE.values(
    fires_at=bindparam("new_fires_at", type_=_INSTANT),
    settled=bindparam("new_settled"),
    fired_at=None,
)
SHIFT = _ONE.values(fires_at=bindparam("new_fires_at", type_=_INSTANT))
SETTLE = _ONE.where(
    reminders.c.fires_at == bindparam("planned", type_=_INSTANT), reminders.c.settled.is_(False)
).values(settled=True, fired_at=bindparam("now", type_=_INSTANT))
