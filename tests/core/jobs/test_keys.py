"""Under a key one job waits, whatever became of those before it, and it is never later than somebody needs it."""

import asyncio
import datetime as dt

import pytest
from sqlalchemy import select, update

from doable.core import clock
from doable.core.db import Database
from doable.core.jobs import Job, JobFailed, Retry, Run, enqueue, inspection, job
from doable.core.jobs import worker as worker_module
from doable.core.jobs.tables import jobs as table
from doable.core.queries import query, scalar
from tests.core.jobs.conftest import Hire
from tests.support.waiting import until

STATES = query(scalar, select(table.c.state).order_by(table.c.created_at))
IDS = query(scalar, select(table.c.id).order_by(table.c.created_at))
MINUTE = dt.timedelta(minutes=1)


def failing_once(runs: list[tuple[str, int]]) -> Job[str]:
    @job("test.flaky", retry=Retry(attempts=3, first=dt.timedelta(hours=1)))
    async def flaky(run: Run, args: str) -> None:
        runs.append((args, run.attempt))
        if len(runs) == 1:
            raise JobFailed("not now")

    return flaky


@pytest.mark.parametrize(("first", "second"), [(MINUTE, -MINUTE), (-MINUTE, MINUTE), (None, MINUTE), (MINUTE, None)])
async def test_the_earlier_time_counts(
    db: Database, idle: Hire, first: dt.timedelta | None, second: dt.timedelta | None
) -> None:
    runs: list[tuple[str, int]] = [("", 0)]
    kind = failing_once(runs)
    for args, pause in (("first", first), ("second", second)):
        async with db.transaction() as tx:
            await enqueue(tx, kind, args, key="key", run_at=None if pause is None else clock.now() + pause)
    async with idle(kind) as worker:
        await worker.drain()
    assert runs[1:] == [("second", 1)]


async def test_what_waits_to_be_tried_again_is_the_job_of_its_key(db: Database, idle: Hire) -> None:
    runs: list[tuple[str, int]] = []
    kind = failing_once(runs)
    async with idle(kind) as worker:
        for args in ("first", "second"):
            async with db.transaction() as tx:
                await enqueue(tx, kind, args, key="key")
            await worker.drain()
    assert (runs, await db.reads.all(STATES)) == ([("first", 1), ("second", 1)], ["done"])


async def test_what_fails_ends_when_another_waits_under_its_key(db: Database, idle: Hire) -> None:
    runs: list[str] = []

    @job("test.overtaken", retry=Retry(attempts=3, first=dt.timedelta()))
    async def overtaken(_run: Run, args: str) -> None:
        runs.append(args)
        if args == "first":
            async with db.transaction() as tx:
                await enqueue(tx, overtaken, "second", key="key")
            raise JobFailed("not now")

    async with db.transaction() as tx:
        await enqueue(tx, overtaken, "first", key="key")
    async with idle(overtaken) as worker:
        await worker.drain()
    assert (runs, await db.reads.all(STATES)) == (["first", "second"], ["done", "done"])


async def test_what_fails_ends_when_another_is_being_enqueued_under_its_key(db: Database, idle: Hire) -> None:
    enqueued = asyncio.Event()
    others: list[asyncio.Task[None]] = []

    async def another() -> None:
        async with db.transaction() as tx:
            await enqueue(tx, met, "second", key="key", run_at=clock.now() + MINUTE)
            enqueued.set()
            await asyncio.sleep(0.5)  # the first comes to its end, and waits for this one

    @job("test.met", retry=Retry(attempts=3, first=dt.timedelta(hours=1)))
    async def met(_run: Run, args: str) -> None:
        if args == "first":
            others.append(asyncio.create_task(another()))
            await enqueued.wait()
            raise JobFailed("not now")

    async with db.transaction() as tx:
        for args, key in (("first", "key"), ("beside it", None)):
            await enqueue(tx, met, args, key=key)
    async with idle(met) as worker:
        await worker.drain()
    await asyncio.gather(*others)
    assert sorted(await db.reads.all(STATES)) == ["done", "done", "waiting"]


async def test_what_is_given_back_ends_when_another_waits_under_its_key(
    db: Database, worker: Hire, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker_module, "CLOSE_SECONDS", 0.5)
    kept = clock.now() + MINUTE
    runs: list[str] = []

    @job("test.slow")
    async def slow(_run: Run, args: str) -> None:
        async with db.transaction() as tx:
            await enqueue(tx, slow, "second", key="key", run_at=kept)
        runs.append(args)
        await asyncio.Event().wait()

    async with worker(slow):
        async with db.transaction() as tx:
            await enqueue(tx, slow, "first", key="key")
        await until(lambda: bool(runs))
    assert (runs, await db.reads.all(STATES)) == (["first"], ["done", "waiting"])


async def test_a_dead_job_can_be_revived_though_another_waits_under_its_key(db: Database) -> None:
    kind = failing_once([])
    async with db.transaction() as tx:
        await enqueue(tx, kind, "first", key="key")
    (dead,) = await db.reads.all(IDS)
    async with db.transaction() as tx:
        await tx.execute(update(table).values(state="dead", finished_at=clock.now()))
        await enqueue(tx, kind, "second", key="key")
        assert await inspection.retry(tx, dead)
    assert await db.reads.all(STATES) == ["waiting", "waiting"]
