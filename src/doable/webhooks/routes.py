"""Webhooks over HTTP."""

from typing import Annotated

from fastapi import APIRouter, Depends, Request

from doable.core import ids
from doable.core.errors import Code, invalid_field
from doable.core.http import idempotency, openapi
from doable.core.http.answers import Headers
from doable.core.http.paging import CursorKey, Paging
from doable.core.http.routing import Route
from doable.core.http.transaction import Reads, Tx
from doable.core.outbound import Outbound, RefusedError
from doable.core.pages import Page
from doable.core.types import UuidStr, changes
from doable.lists.routes import ListReader, ListWriter
from doable.webhooks import access, shapes, statements
from doable.webhooks.operations import deliveries, endpoints
from doable.webhooks.operations.endpoints import New
from doable.webhooks.schemas import DeliveryResponse, WebhookCreate, WebhookResponse, WebhookSecret, WebhookUpdate

router = APIRouter(prefix="/webhooks", tags=["webhooks"], route_class=Route)

MANAGING = openapi.errors(Code.NOT_FOUND, Code.FORBIDDEN, Code.INSUFFICIENT_SCOPE)


async def _outbound(request: Request) -> Outbound:
    outbound: Outbound = request.state.outbound
    return outbound


WayOut = Annotated[Outbound, Depends(_outbound)]


@router.get("", responses=openapi.errors(Code.INVALID_CURSOR, Code.INSUFFICIENT_SCOPE))
async def list_webhooks(actor: ListReader, reads: Reads, paging: Paging, cursors: CursorKey) -> Page[WebhookResponse]:
    """Mine, and those of the lists that I own, the newest first."""
    return await statements.WEBHOOKS.page(reads, paging, cursors, shapes.webhook, actor_id=actor.user_id)


@router.post(
    "",
    status_code=201,
    dependencies=[idempotency.Ignored],
    responses=MANAGING | openapi.errors(Code.ALREADY_EXISTS, Code.LIMIT_REACHED) | openapi.headers(201, "Location"),
)
async def create_webhook(
    actor: ListWriter, body: WebhookCreate, tx: Tx, way_out: WayOut, headers: Headers
) -> WebhookSecret:
    """Have a server told what happens from now on, in a list of mine or in every list that I am in.

    Requests are signed by the Standard Webhooks specification; the `secret` is shown now and never again.
    """
    _check(way_out, body.url)
    new = New(changes(body).get("id", ids.new_id()), body.list_id, body.url, body.kinds)
    row, secret = await endpoints.create(tx, actor, new)
    headers.location(f"/webhooks/{row.id}")
    return shapes.with_secret(row, secret)


@router.get("/{webhook_id}", responses=MANAGING)
async def get_webhook(actor: ListReader, webhook_id: UuidStr, reads: Reads) -> WebhookResponse:
    return shapes.webhook(await access.managed(reads, actor, webhook_id))


@router.patch("/{webhook_id}", responses=MANAGING)
async def update_webhook(
    actor: ListWriter, webhook_id: UuidStr, body: WebhookUpdate, tx: Tx, way_out: WayOut
) -> WebhookResponse:
    """Change what is sent and nothing else; `status: active` takes up what was paused or disabled."""
    new = changes(body)
    if "url" in new:
        _check(way_out, body.url)
    return shapes.webhook(await endpoints.update(tx, actor, webhook_id, new))


@router.delete("/{webhook_id}", status_code=204, responses=MANAGING)
async def delete_webhook(actor: ListWriter, webhook_id: UuidStr, tx: Tx) -> None:
    """Nothing more is sent to it, and what was sent is forgotten."""
    await endpoints.delete(tx, actor, webhook_id)


@router.post("/{webhook_id}/ping", status_code=202, responses=MANAGING)
async def ping_webhook(actor: ListWriter, webhook_id: UuidStr, tx: Tx) -> DeliveryResponse:
    """Have an event of the type `ping` sent, once, to see whether it arrives."""
    return shapes.delivery(await deliveries.ping(tx, actor, webhook_id))


@router.post("/{webhook_id}/secret", dependencies=[idempotency.Ignored], responses=MANAGING)
async def renew_webhook_secret(actor: ListWriter, webhook_id: UuidStr, tx: Tx) -> WebhookSecret:
    """Make a new secret; for a day, requests are signed with the old one as well."""
    return shapes.with_secret(*await endpoints.renew(tx, actor, webhook_id))


@router.get("/{webhook_id}/deliveries", responses=MANAGING | openapi.errors(Code.INVALID_CURSOR))
async def list_deliveries(
    actor: ListReader, webhook_id: UuidStr, reads: Reads, paging: Paging, cursors: CursorKey
) -> Page[DeliveryResponse]:
    """What was and what will be sent, the newest first, for 30 days."""
    await access.managed(reads, actor, webhook_id)
    return await statements.DELIVERIES.page(
        reads, paging, cursors, shapes.delivery, actor_id=actor.user_id, webhook_id=webhook_id
    )


@router.post("/{webhook_id}/deliveries/{delivery_id}/retry", status_code=202, responses=MANAGING)
async def retry_delivery(actor: ListWriter, webhook_id: UuidStr, delivery_id: UuidStr, tx: Tx) -> DeliveryResponse:
    """Have it sent once more, with the same `webhook-id`, whatever became of it."""
    return shapes.delivery(await deliveries.retry(tx, actor, webhook_id, delivery_id))


def _check(way_out: Outbound, url: str) -> None:
    try:
        way_out.check(url)
    except RefusedError as error:
        raise invalid_field("body.url", f"{error}".capitalize() + ".", "url") from None
