"""What a server does again and again is done by one worker at a time, and nothing ends it for good."""

import datetime as dt

import pytest
from sqlalchemy import select, update

from doable.core import ids
from doable.core.db import Database
from doable.core.jobs import Run, inspection, periodic
from doable.core.jobs.tables import DEAD
from doable.core.jobs.tables import jobs as table
from doable.core.queries import query, scalar
from tests.core.jobs.conftest import Hire

STATES = query(scalar, select(table.c.state))


@pytest.mark.parametrize("end", ["cancelled", "dead"])
async def test_a_periodic_job_that_has_ended_runs_again_when_a_worker_starts(
    db: Database, idle: Hire, end: str
) -> None:
    ran: list[int] = []

    @periodic("test.tick", dt.timedelta(hours=1))
    async def tick(run: Run) -> None:
        ran.append(run.attempt)

    async with idle(tick) as worker:
        await worker._arm()
        await worker.drain()
    async with db.transaction() as tx:
        assert await inspection.cancel(tx, ids.id_of("test.tick"))
        if end == "dead":
            await tx.execute(update(table).values(state=DEAD))
    async with idle(tick) as worker:
        await worker._arm()
        await worker.drain()
    assert (ran, await db.reads.all(STATES)) == ([1, 1], ["waiting"])
