"""Actor and import id become a row, or a refusal."""

from uuid import UUID

from doable.accounts.access import Actor
from doable.core.errors import not_found
from doable.core.queries import Reader
from doable.transfer import statements
from doable.transfer.statements import ImportRow


async def mine(reader: Reader, actor: Actor, import_id: UUID) -> ImportRow:
    """Raises `NOT_FOUND`."""
    row = await reader.first(statements.IMPORT, actor_id=actor.user_id, import_id=import_id)
    if row is None:
        raise not_found("import")
    return row
