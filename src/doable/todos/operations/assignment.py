"""What becomes of todos when whom they were given to is no member any more."""

from doable.core import events as log
from doable.core.db import Transaction
from doable.lists.events import MemberLeft
from doable.todos import events, statements


async def release(tx: Transaction, fact: MemberLeft) -> None:
    """Whoever tells the fact holds the list's stream. In the trash there are no events: todos come back as they are."""
    rows = await tx.all(statements.OF_ASSIGNEE, list_id=fact.list_id, user_id=fact.user_id)
    if not rows:
        return
    now = fact.cause.at
    await tx.execute(statements.UNASSIGN, home_id=fact.list_id, user_id=fact.user_id, now=now)
    told = [
        events.changed(row, row._replace(assignee_id=None, updated_at=now, version=row.version + 1))
        for row in rows
        if row.deleted_at is None
    ]
    if told:
        await log.record(tx, fact.cause, {fact.list_id: told})
