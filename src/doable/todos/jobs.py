"""What todos leave to a worker."""

from datetime import timedelta

from doable.core import clock
from doable.core.jobs import Run, periodic
from doable.todos.operations import trash

AT_ONCE = 100
TRASH_KEPT = timedelta(days=30)


@periodic("todos.purge", timedelta(hours=1))
async def purge(run: Run) -> None:
    """What has been in the trash for long goes for good."""
    before, purged = clock.now() - TRASH_KEPT, 1
    while purged:
        async with run.tools.db.transaction() as tx:
            purged = await trash.purge_expired(tx, before, AT_ONCE)


JOBS = (purge,)
