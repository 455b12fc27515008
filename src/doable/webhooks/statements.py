"""What can be asked about webhooks and deliveries, and done to them; permission is part of what people ask."""

from datetime import datetime
from functools import cache
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    Executable,
    Integer,
    Select,
    Text,
    and_,
    bindparam,
    case,
    delete,
    func,
    insert,
    literal,
    or_,
    select,
    update,
)

from doable.accounts.tables import users
from doable.core.events import COLUMNS, EventRow, events
from doable.core.jobs.statements import NOW
from doable.core.pages import Order, listing
from doable.core.queries import Query, query, scalar
from doable.lists.statements import has_role
from doable.lists.tables import lists, members
from doable.webhooks.tables import ACTIVE, DEAD, DELIVERED, DISABLED, FAILED, PENDING, deliveries, webhooks


class WebhookRow(NamedTuple):
    """A webhook as a member of its list, or its maker, sees it; `role` says whether he may do anything with it."""

    id: UUID
    list_id: UUID | None
    url: str
    kinds: str | None
    status: str
    created_at: datetime
    updated_at: datetime
    role: str


class DeliveryRow(NamedTuple):
    id: UUID
    webhook_id: UUID
    kind: str
    list_id: UUID | None
    revision: int | None
    status: str
    attempts: int
    response_status: int | None
    next_attempt_at: datetime | None
    created_at: datetime
    body: str | None


class Subscriber(NamedTuple):
    """A webhook that is told what happens in a list, from `since` on."""

    webhook_id: UUID
    kinds: str | None
    since: datetime


class Target(NamedTuple):
    """A webhook as it is sent to."""

    id: UUID
    url: str
    secret: bytes
    previous_secret: bytes | None
    renewed_at: datetime | None
    user_id: UUID
    status: str
    failing_since: datetime | None
    busy_until: datetime | None
    is_busy: bool
    is_resting: bool


def _visible() -> Select[*tuple[Any, ...]]:
    named = [webhooks.c[name] for name in WebhookRow._fields[:-1]]
    mine = and_(members.c.list_id == webhooks.c.list_id, members.c.user_id == bindparam("actor_id"))
    return (
        select(*named, func.coalesce(members.c.role, literal("owner")).label("role"))
        .join_from(webhooks, members, mine, isouter=True)
        .join(lists, lists.c.id == webhooks.c.list_id, isouter=True)
        .where(
            or_(
                and_(webhooks.c.list_id.is_(None), webhooks.c.user_id == bindparam("actor_id")),
                and_(members.c.role.is_not(None), lists.c.deleted_at.is_(None)),
            )
        )
    )


_OWNED: ColumnElement[bool] = or_(
    and_(webhooks.c.list_id.is_(None), webhooks.c.user_id == bindparam("actor_id")),
    has_role(webhooks.c.list_id, "owner"),
)

WEBHOOK: Query[WebhookRow] = query(WebhookRow, _visible().where(webhooks.c.id == bindparam("webhook_id")))
WEBHOOKS = listing(
    "webhooks",
    WebhookRow,
    _visible().where(or_(webhooks.c.list_id.is_(None), members.c.role == "owner")),
    Order("id", webhooks.c.id, descending=True),
)
IN_LIST: Query[int] = query(
    scalar, select(func.count().label("there")).where(webhooks.c.list_id == bindparam("list_id"))
)
OF_PERSON: Query[int] = query(
    scalar,
    select(func.count().label("there")).where(webhooks.c.user_id == bindparam("user_id"), webhooks.c.list_id.is_(None)),
)
INSERT = insert(webhooks)
DELETE = delete(webhooks).where(webhooks.c.id == bindparam("webhook_id"), _OWNED)
DELETE_OF_PERSON = delete(webhooks).where(webhooks.c.user_id == bindparam("person_id"))
DISABLE_OF_PERSON = (
    update(webhooks)
    .where(webhooks.c.user_id == bindparam("person_id"))
    .values(status=DISABLED, updated_at=bindparam("now"))
)
FORGET_DELIVERIES = delete(deliveries).where(
    deliveries.c.id.in_(
        select(deliveries.c.id)
        .join_from(deliveries, webhooks, webhooks.c.id == deliveries.c.webhook_id)
        .where(webhooks.c.user_id == bindparam("person_id"))
        .limit(bindparam("most", type_=Integer))
    )
)
LEFT_BEHIND: Query[UUID] = query(
    scalar,
    select(webhooks.c.user_id)
    .distinct()
    .join(users, users.c.id == webhooks.c.user_id)
    .where(users.c.deleted_at.is_not(None)),
)
"""Of whom there are webhooks still although they have left: the job that was to purge them is dead."""
RENEW = (
    update(webhooks)
    .where(webhooks.c.id == bindparam("webhook_id"), _OWNED)
    .values(
        previous_secret=webhooks.c.secret,
        secret=bindparam("new_secret", type_=webhooks.c.secret.type),
        renewed_at=bindparam("now"),
        updated_at=bindparam("now"),
    )
)


@cache
def update_webhook(fields: frozenset[str]) -> Executable:
    """Set `fields` (parameters `new_FIELD`)."""
    changes = {field: bindparam(f"new_{field}", type_=webhooks.c[field].type) for field in fields}
    if "status" in fields:
        changes |= {"failing_since": literal(None), "resumes_at": literal(None)}
    return (
        update(webhooks)
        .where(webhooks.c.id == bindparam("webhook_id"), _OWNED)
        .values(**changes, updated_at=bindparam("now"))
    )


SUBSCRIBERS: Query[Subscriber] = query(
    Subscriber,
    select(
        webhooks.c.id.label("webhook_id"),
        webhooks.c.kinds,
        case((webhooks.c.created_at > members.c.joined_at, webhooks.c.created_at), else_=members.c.joined_at).label(
            "since"
        ),
    )
    .join_from(webhooks, members, members.c.user_id == webhooks.c.user_id)
    .join(users, users.c.id == webhooks.c.user_id)
    .where(
        members.c.list_id == bindparam("list_id"),
        or_(webhooks.c.list_id == bindparam("list_id"), webhooks.c.list_id.is_(None)),
        webhooks.c.status == ACTIVE,
        users.c.disabled_at.is_(None),
    )
    .order_by(webhooks.c.id),
)
"""Those whose maker is in the list."""

SUBSCRIBERS_OF_PERSON: Query[Subscriber] = query(
    Subscriber,
    select(webhooks.c.id.label("webhook_id"), webhooks.c.kinds, webhooks.c.created_at.label("since"))
    .where(webhooks.c.user_id == bindparam("user_id"), webhooks.c.list_id.is_(None), webhooks.c.status == ACTIVE)
    .order_by(webhooks.c.id),
)

_DELIVERY = [deliveries.c[name] for name in DeliveryRow._fields]
_LOG = (
    select(*_DELIVERY)
    .join_from(deliveries, webhooks, webhooks.c.id == deliveries.c.webhook_id)
    .where(deliveries.c.webhook_id == bindparam("webhook_id"), _OWNED)
)
DELIVERIES = listing("deliveries", DeliveryRow, _LOG, Order("id", deliveries.c.id, descending=True))
DELIVERY: Query[DeliveryRow] = query(DeliveryRow, _LOG.where(deliveries.c.id == bindparam("delivery_id")))
INSERT_DELIVERY = insert(deliveries).values(status=PENDING, attempts=0)
AGAIN = (
    update(deliveries)
    .where(deliveries.c.id == bindparam("delivery_id"))
    .values(status=PENDING, attempts=0, next_attempt_at=bindparam("now", type_=deliveries.c.next_attempt_at.type))
)

TARGET: Query[Target] = query(
    Target,
    select(
        *(webhooks.c[name] for name in Target._fields[:-2]),
        func.coalesce(webhooks.c.busy_until > NOW, False).label("is_busy"),
        func.coalesce(webhooks.c.resumes_at > NOW, False).label("is_resting"),
    )
    .where(webhooks.c.id == bindparam("webhook_id"))
    .with_for_update(),
)
FAILING: Query[bool] = query(
    scalar,
    select(webhooks.c.failing_since.is_not(None).label("failing")).where(webhooks.c.id == bindparam("webhook_id")),
)
DUE: Query[DeliveryRow] = query(
    DeliveryRow,
    select(*_DELIVERY)
    .where(
        deliveries.c.webhook_id == bindparam("webhook_id"),
        deliveries.c.next_attempt_at.is_not(None),
        # By the clock that jobs are due by; what is new is due by any: its job may be here before its instant is.
        or_(deliveries.c.status == PENDING, deliveries.c.next_attempt_at <= NOW),
        deliveries.c.kind == func.coalesce(bindparam("kind", type_=Text()), deliveries.c.kind),
    )
    .order_by(deliveries.c.next_attempt_at, deliveries.c.id)
    .limit(1),
)
EVENT: Query[EventRow] = query(
    EventRow,
    select(*COLUMNS)
    .join_from(events, members, members.c.list_id == events.c.stream_id)
    .join(users, users.c.id == members.c.user_id)
    .where(
        events.c.stream_id == bindparam("list_id"),
        events.c.revision == bindparam("revision"),
        members.c.user_id == bindparam("user_id"),
        users.c.disabled_at.is_(None),
    ),
)
"""As long as `user_id` may see it."""

_ONE = update(deliveries).where(deliveries.c.id == bindparam("delivery_id"))
COUNT = _ONE.values(attempts=deliveries.c.attempts + 1)
_ANSWERED = _ONE.values(response_status=bindparam("answered", type_=Integer))
DELIVER = _ANSWERED.values(status=DELIVERED, next_attempt_at=None)
FAIL = _ANSWERED.values(status=FAILED, next_attempt_at=bindparam("next_at", type_=deliveries.c.next_attempt_at.type))
BURY = _ANSWERED.values(status=DEAD, next_attempt_at=None)
BURY_ALL = (
    update(deliveries)
    .where(deliveries.c.webhook_id == bindparam("of_webhook"), deliveries.c.next_attempt_at.is_not(None))
    .values(status=DEAD, next_attempt_at=None)
)

_IT = update(webhooks).where(webhooks.c.id == bindparam("webhook_id"))
_INSTANT = webhooks.c.busy_until.type
HOLD = _IT.values(busy_until=bindparam("until", type_=_INSTANT))
WORKS = _IT.values(failing_since=None, resumes_at=None)
FAILS = _IT.values(failing_since=bindparam("since", type_=_INSTANT), resumes_at=bindparam("resumes_at", type_=_INSTANT))
STOP = _IT.values(status=bindparam("new_status", type_=webhooks.c.status.type), updated_at=bindparam("now"))
SWEEP = delete(deliveries).where(
    deliveries.c.id.in_(
        select(deliveries.c.id)
        .where(deliveries.c.created_at < bindparam("before"), deliveries.c.next_attempt_at.is_(None))
        .limit(bindparam("most", type_=Integer))
    )
)
