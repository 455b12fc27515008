"""How a list goes for good."""

from datetime import datetime
from uuid import UUID

from doable.core import events as log
from doable.core import streams
from doable.core.db import Transaction
from doable.lists import statements
from doable.lists.events import ListGoes

AT_ONCE = 500
"""Rows of a kind: a list may have more than one transaction can delete."""


async def purge_some(tx: Transaction, list_id: UUID, before: datetime) -> bool:
    """Delete a part of what was deleted before that; whether there is more. Nobody is told, for nobody sees it.

    Its members go first: nobody can restore what is half gone.
    """
    await streams.lock(tx, [list_id])
    if await tx.first(statements.DELETED_ONE, list_id=list_id, before=before) is None:  # it was restored meanwhile
        return False
    await tx.execute(statements.DELETE_MEMBERS, list_id=list_id)
    fact = ListGoes(list_id, AT_ONCE)
    await tx.tell(fact)
    if fact.more or await log.forget_some(tx, list_id, AT_ONCE):
        return True
    await tx.execute(statements.DELETE_LIST, list_id=list_id)
    await log.forget(tx, list_id)
    return False
