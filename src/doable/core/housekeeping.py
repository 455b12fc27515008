"""What the platform does by itself now and then: forget what is of no use any more, in short transactions."""

from datetime import timedelta

from sqlalchemy.sql.base import Executable

from doable.core import clock, following, post, replies, trimming
from doable.core.db import Database
from doable.core.jobs import Run, periodic, statements
from doable.core.jobs.tables import CANCELLED, DEAD, DONE

AT_ONCE = 500
JOBS_KEPT = timedelta(days=7)
DEAD_JOBS_KEPT = timedelta(days=30)


@periodic("core.purge_replies", timedelta(minutes=10))
async def purge_replies(run: Run) -> None:
    await in_turns(run.tools.db, replies.PURGE, now=clock.now())


@periodic("core.purge_jobs", timedelta(hours=1))
async def purge_jobs(run: Run) -> None:
    now, db = clock.now(), run.tools.db
    await in_turns(db, statements.FORGET, before=now - JOBS_KEPT, states=[DONE, CANCELLED])
    await in_turns(db, statements.FORGET, before=now - DEAD_JOBS_KEPT, states=[DEAD])


@periodic("core.trim_log", timedelta(hours=6))
async def trim_log(run: Run) -> None:
    await trimming.trim(run.tools.db, clock.now() - timedelta(days=run.tools.settings.events_retention_days))


JOBS = (post.send, following.follow, purge_replies, purge_jobs, trim_log)


async def in_turns(db: Database, statement: Executable, **params: object) -> None:
    """Run a statement that changes `most` rows at once until none is left."""
    changed = AT_ONCE
    while changed == AT_ONCE:
        async with db.transaction() as tx:
            changed = await tx.execute(statement, most=AT_ONCE, **params)
