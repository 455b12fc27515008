"""Rows as the wire shows them."""

from datetime import datetime

import orjson

from doable.core import clock
from doable.core.events import EventRow
from doable.lists import shapes as lists_shapes
from doable.webhooks import signatures
from doable.webhooks.schemas import DeliveryResponse, WebhookResponse, WebhookSecret
from doable.webhooks.statements import DeliveryRow, WebhookRow


def webhook(row: WebhookRow) -> WebhookResponse:
    return WebhookResponse(
        id=row.id,
        list_id=row.list_id,
        url=row.url,
        kinds=None if row.kinds is None else orjson.loads(row.kinds),
        status=row.status,
        created_at=row.created_at,
        updated_at=row.updated_at,
    )


def with_secret(row: WebhookRow, secret: bytes) -> WebhookSecret:
    return WebhookSecret(**dict(webhook(row)), secret=signatures.shown(secret))


def delivery(row: DeliveryRow) -> DeliveryResponse:
    shown = {name: value for name, value in row._asdict().items() if name != "body"}
    return DeliveryResponse(**shown)


def body(row: EventRow) -> bytes:
    """What is sent of an event."""
    return orjson.dumps({"type": row.kind, "timestamp": clock.iso(row.at), "data": lists_shapes.event(row)})


def unlogged(kind: str, at: datetime, data: str) -> str:
    """What is sent of something that is in no log; `data` are JSON already."""
    return orjson.dumps({"type": kind, "timestamp": clock.iso(at), "data": orjson.Fragment(data)}).decode()
