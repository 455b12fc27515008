"""How a list goes for good."""

from datetime import UTC, datetime
from uuid import UUID

from doable.core import clock, streams
from doable.core import events as log
from doable.core.db import Database, Transaction
from doable.core.jobs import PURGES, Run, job
from doable.lists import statements
from doable.lists.events import ListGoes
from doable.lists.statements import people

AT_ONCE = 500
"""Rows of a kind: a list may have more than one transaction can delete."""


LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)
"""When lists are said to have been deleted whose owner has left for good: whatever purges may purge them."""


@job("lists.purge_lists_of", queue=PURGES, limit=300.0)
async def purge_lists_of(run: Run, user_id: UUID) -> None:
    """All of somebody who has left, in turns; what is over the limit of time goes on the next time."""
    db, before = run.tools.db, clock.now()
    while list_ids := await db.reads.all(people.OF_OWNER, owner=user_id, before=before, most=AT_ONCE):
        for list_id in list_ids:
            await purge(db, list_id, before)


async def purge(db: Database, list_id: UUID, before: datetime) -> None:
    """In as many transactions as it takes."""
    more = True
    while more:
        async with db.transaction() as tx:
            more = await purge_some(tx, list_id, before)


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
