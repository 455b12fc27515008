"""Actor and webhook id become a row, or a refusal."""

from uuid import UUID

from doable.accounts.access import Actor
from doable.core.errors import not_found
from doable.core.queries import Reader
from doable.lists import access as lists_access
from doable.webhooks import statements
from doable.webhooks.statements import DeliveryRow, WebhookRow


async def managed(reader: Reader, actor: Actor, webhook_id: UUID) -> WebhookRow:
    """A webhook of the actor's own, or of a list of his own. Raises `NOT_FOUND` and `FORBIDDEN`."""
    row = await reader.first(statements.WEBHOOK, actor_id=actor.user_id, webhook_id=webhook_id)
    if row is None:
        raise not_found("webhook")
    lists_access.require(row.role, lists_access.OWNERS)
    return row


async def delivery(reader: Reader, actor: Actor, webhook_id: UUID, delivery_id: UUID) -> DeliveryRow:
    """Raises `NOT_FOUND` and `FORBIDDEN`."""
    row = await reader.first(
        statements.DELIVERY, actor_id=actor.user_id, webhook_id=webhook_id, delivery_id=delivery_id
    )
    if row is None:
        await managed(reader, actor, webhook_id)
        raise not_found("delivery")
    return row
