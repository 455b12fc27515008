"""What there is to be sent: events of the lists that a webhook is told about, pings, and what is sent once more."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any
from uuid import UUID

import orjson

from doable.accounts.access import Actor
from doable.core import clock, ids
from doable.core.db import Transaction
from doable.core.events import EventRow
from doable.core.following import Happened
from doable.todos.reminding import Reminded
from doable.webhooks import access, shapes, statements
from doable.webhooks.operations import sending
from doable.webhooks.schemas import PING, REMINDER
from doable.webhooks.statements import DeliveryRow, Subscriber
from doable.webhooks.tables import PENDING


async def make(tx: Transaction, fact: Happened) -> None:
    """A delivery for each event and each webhook that wants to know of it."""
    now = clock.now()
    rows: list[dict[str, Any]] = []
    told: list[UUID] = []
    for subscriber in await tx.all(statements.SUBSCRIBERS, list_id=fact.stream_id):
        wanted = _wanted(subscriber, fact.events)
        rows += [_row(subscriber.webhook_id, now, event.kind, fact.stream_id, event.revision) for event in wanted]
        if wanted:
            told.append(subscriber.webhook_id)
    await tx.many(statements.INSERT_DELIVERY, rows)
    for webhook_id in told:  # in the order of their ids, as everywhere
        await sending.enqueue(tx, webhook_id)


async def remind(tx: Transaction, fact: Reminded) -> None:
    """A delivery for each webhook of the one who is reminded; those of lists are not his alone."""
    body = shapes.unlogged(REMINDER, fact.at, fact.data)
    found = await tx.all(statements.SUBSCRIBERS_OF_PERSON, user_id=fact.user_id)
    told = [each.webhook_id for each in found if (kinds := _kinds(each)) is None or REMINDER in kinds]
    rows = [_row(webhook_id, fact.at, REMINDER) | {"body": body} for webhook_id in told]
    await tx.many(statements.INSERT_DELIVERY, rows)
    for webhook_id in told:
        await sending.enqueue(tx, webhook_id)


async def ping(tx: Transaction, actor: Actor, webhook_id: UUID) -> DeliveryRow:
    """Have something sent that says nothing, once, whatever the status of the webhook."""
    await access.managed(tx.ahead, actor, webhook_id)
    now = clock.now()
    row = _row(webhook_id, now, PING) | {"body": shapes.unlogged(PING, now, "{}")}
    await tx.many(statements.INSERT_DELIVERY, [row])
    await sending.enqueue(tx, webhook_id)
    return DeliveryRow(**row, status=PENDING, attempts=0, response_status=None)


async def retry(tx: Transaction, actor: Actor, webhook_id: UUID, delivery_id: UUID) -> DeliveryRow:
    """Have it sent now, and again by the schedule if need be, also if it has been delivered before."""
    await access.delivery(tx.ahead, actor, webhook_id, delivery_id)
    await tx.execute(statements.AGAIN, delivery_id=delivery_id, now=clock.now())
    await sending.enqueue(tx, webhook_id)
    return await access.delivery(tx, actor, webhook_id, delivery_id)


def _row(
    webhook_id: UUID, now: datetime, kind: str, list_id: UUID | None = None, revision: int | None = None
) -> dict[str, Any]:
    return {
        "id": ids.new_id(),
        "webhook_id": webhook_id,
        "kind": kind,
        "list_id": list_id,
        "revision": revision,
        "next_attempt_at": now,
        "body": None,
        "created_at": now,
    }


def _wanted(subscriber: Subscriber, events: Iterable[EventRow]) -> list[EventRow]:
    kinds = _kinds(subscriber)
    return [event for event in events if event.at >= subscriber.since and (kinds is None or event.kind in kinds)]


def _kinds(subscriber: Subscriber) -> frozenset[str] | None:
    return None if subscriber.kinds is None else frozenset(orjson.loads(subscriber.kinds))
