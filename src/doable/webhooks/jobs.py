"""What webhooks leave to a worker."""

from datetime import timedelta

from doable.core import clock, housekeeping
from doable.core.jobs import Run, periodic
from doable.webhooks import statements
from doable.webhooks.operations import endpoints, sending

KEPT = timedelta(days=30)
"""How long it is shown what was delivered."""


@periodic("webhooks.sweep", timedelta(hours=1))
async def sweep(run: Run) -> None:
    db = run.tools.db
    await housekeeping.in_turns(db, statements.SWEEP, before=clock.now() - KEPT)
    for user_id in await db.reads.all(statements.LEFT_BEHIND):
        await endpoints.purge_of(db, user_id)


JOBS = (sending.deliver, sending.persist, endpoints.purge, sweep)
