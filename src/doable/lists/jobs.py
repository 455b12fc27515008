"""What lists leave to a worker."""

from datetime import timedelta

from doable.core import clock
from doable.core.jobs import Run, periodic
from doable.lists import statements
from doable.lists.operations import purging

AT_ONCE = 100
DELETED_KEPT = timedelta(days=30)


@periodic("lists.purge", timedelta(hours=1))
async def purge(run: Run) -> None:
    """Lists that were deleted long ago go for good, with their todos and their log."""
    db, before = run.tools.db, clock.now() - DELETED_KEPT
    while list_ids := await db.reads.all(statements.DELETED, before=before, most=AT_ONCE):
        for list_id in list_ids:
            await purging.purge(db, list_id, before)


JOBS = (purge, purging.purge_lists_of)
