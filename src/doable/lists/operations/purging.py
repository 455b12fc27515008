"""How a list goes for good."""

from datetime import datetime
from uuid import UUID

from doable.core import events as log
from doable.core import streams
from doable.core.db import Transaction
from doable.lists import statements


async def purge(tx: Transaction, list_id: UUID, before: datetime) -> None:
    """Delete what was deleted before that. Nobody is told: its members have not seen it since."""
    await streams.lock(tx, [list_id])
    if await tx.execute(statements.PURGE_LIST, list_id=list_id, before=before):  # unless it was restored meanwhile
        await log.forget(tx, list_id)
