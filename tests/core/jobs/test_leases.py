"""What a worker has taken is its own until it dies, hangs or is too slow; then it is somebody else's, and only his."""

import asyncio
import datetime as dt
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager

import pytest
import structlog
from sqlalchemy import select, update

from doable.core import clock
from doable.core.db import Database, Transaction
from doable.core.jobs import Queue, Retry, Run, enqueue, job
from doable.core.jobs import worker as worker_module
from doable.core.jobs.presence import Presence
from doable.core.jobs.tables import jobs as table
from doable.core.queries import Query, query, scalar
from tests.core.jobs.conftest import Hire
from tests.support.waiting import until

AT_ONCE = Retry(attempts=3, first=dt.timedelta())
RUN_AT: Query[dt.datetime] = query(scalar, select(table.c.run_at))
STATES: Query[str] = query(scalar, select(table.c.state).order_by(table.c.created_at))


UNFINISHED = query(scalar, select(table.c.id).where(table.c.finished_at.is_(None)))
SHARED = Queue("shared", 1, 8)


@job("test.raises", queue=SHARED, retry=AT_ONCE)
async def raises(_run: Run, _args: str) -> None:
    raise LookupError


@job("test.exits", queue=SHARED, retry=AT_ONCE)
async def exits(_run: Run, _args: str) -> None:
    raise SystemExit(1)


@job("test.hangs", queue=SHARED, retry=AT_ONCE, limit=1.0)
async def hangs(_run: Run, _args: str) -> None:
    await asyncio.Event().wait()


@job("test.allocates", queue=SHARED, retry=AT_ONCE)
async def allocates(_run: Run, _args: str) -> None:
    bytearray(1 << 60)


POISONS = (raises, exits, hangs, allocates)


async def _end_leases(db: Database) -> None:
    async with db.transaction() as tx:
        past = clock.now() - dt.timedelta(seconds=1)
        await tx.execute(update(table).values(run_at=past).where(table.c.state == "running"))


async def _die(worker: worker_module.Worker, draining: asyncio.Task[None]) -> None:
    """As a process does that is killed: nothing is written any more."""
    draining.cancel()
    for running in worker._running:
        running.remove_done_callback(worker._ended)
        running.cancel()
    await asyncio.gather(draining, *worker._running, return_exceptions=True)


async def test_a_lease_that_runs_is_respected(db: Database, idle: Hire) -> None:
    began, go_on = asyncio.Event(), asyncio.Event()
    runs: list[int] = []

    @job("test.slow")
    async def slow(run: Run, _: str) -> None:
        runs.append(run.attempt)
        began.set()
        await go_on.wait()

    async with idle(slow) as first, idle(slow) as second:
        async with db.transaction() as tx:
            await enqueue(tx, slow, "")
        task = asyncio.create_task(first.drain())
        await began.wait()
        await second.drain()
        go_on.set()
        await task
    assert (runs, await db.reads.all(STATES)) == ([1], ["done"])


async def test_who_comes_back_too_late_cannot_finish_what_another_has_taken_over(db: Database, idle: Hire) -> None:
    began = [asyncio.Event(), asyncio.Event()]
    go_on = [asyncio.Event(), asyncio.Event()]

    @job("test.slow")
    async def slow(run: Run, _: str) -> None:
        began[run.attempt - 1].set()
        await go_on[run.attempt - 1].wait()

    async with idle(slow) as paused, idle(slow) as other:
        async with db.transaction() as tx:
            await enqueue(tx, slow, "")
        first = asyncio.create_task(paused.drain())
        await began[0].wait()
        await _end_leases(db)
        second = asyncio.create_task(other.drain())
        await began[1].wait()
        with structlog.testing.capture_logs() as logs:
            go_on[0].set()
            await first
        assert [entry["event"] for entry in logs] == ["job_taken_over"]
        assert await db.reads.all(STATES) == ["running"], "it is the other's, who has not finished"
        go_on[1].set()
        await second
    assert await db.reads.all(STATES) == ["done"]


async def test_a_job_whose_workers_die_ends_as_a_dead_letter(db: Database, idle: Hire) -> None:
    runs: list[int] = []

    @job("test.deadly", retry=AT_ONCE)
    async def deadly(run: Run, _: str) -> None:
        runs.append(run.attempt)
        await asyncio.Event().wait()

    async with db.transaction() as tx:
        await enqueue(tx, deadly, "")
    for attempt in (1, 2, 3):
        async with idle(deadly) as worker:
            task = asyncio.create_task(worker.drain())
            await until(lambda attempt=attempt: runs == list(range(1, attempt + 1)))  # type: ignore[misc]
            await _die(worker, task)
        await _end_leases(db)
    async with idle(deadly) as worker:
        await worker.drain()
    assert (runs, await db.reads.all(STATES)) == ([1, 2, 3], ["dead"])


class Ghost(Presence):
    """Of a process that dies."""

    @property
    def number(self) -> int:
        return 7


class Heir(Presence):
    async def gone(self, numbers: Collection[int]) -> set[int]:
        return {7}.intersection(numbers)


async def test_what_kills_its_worker_again_waits_as_what_fails_does(db: Database, idle: Hire) -> None:
    began: list[int] = []

    @job("test.deadly")
    async def deadly(run: Run, _: str) -> None:
        began.append(run.attempt)
        await asyncio.Event().wait()

    async with db.transaction() as tx:
        await enqueue(tx, deadly, "")
    waits: list[dt.timedelta] = []
    for attempt in (1, 2):
        async with idle(deadly, presence=Ghost()) as worker:
            task = asyncio.create_task(worker.drain())
            await until(lambda attempt=attempt: len(began) == attempt)  # type: ignore[misc]
            await _die(worker, task)
        async with idle(deadly, presence=Heir()) as heir:
            await heir._inherit()
            assert await db.reads.one(RUN_AT) > clock.now() + dt.timedelta(seconds=20), (
                "nobody is believed dead at once"
            )
            await heir._inherit()
        waits.append(await db.reads.one(RUN_AT) - clock.now())
    assert began == [1, 2]
    assert waits[0] <= dt.timedelta()
    assert dt.timedelta(seconds=3) < waits[1] <= Retry().pause(1)


@pytest.mark.parametrize("queue", [SHARED, Queue("other", 2, 8)], ids=["of the same queue", "of another"])
async def test_a_job_that_kills_its_process_takes_others_with_it_only_once(
    db: Database, idle: Hire, queue: Queue
) -> None:
    ran: list[int] = []
    killed = asyncio.Event()

    @job("test.innocent", queue=queue, retry=AT_ONCE)
    async def innocent(run: Run, number: int) -> None:
        await asyncio.sleep(0.05)
        ran.append(number)
        assert run.attempt <= 2

    @job("test.kills", queue=SHARED, retry=AT_ONCE)
    async def kills(_run: Run, _args: str) -> None:
        killed.set()
        await asyncio.Event().wait()

    async with db.transaction() as tx:
        await enqueue(tx, kills, "")
        for number in range(4):
            await enqueue(tx, innocent, number)
    while "running" in (states := await db.reads.all(STATES)) or "waiting" in states:
        async with idle(kills, innocent) as worker:
            task = asyncio.create_task(worker.drain())
            deadly = asyncio.create_task(killed.wait())
            await asyncio.wait([task, deadly], return_when=asyncio.FIRST_COMPLETED)
            deadly.cancel()
            killed.clear()
            await _die(worker, task)
        await _end_leases(db)
    assert (sorted(ran), sorted(states)) == ([0, 1, 2, 3], ["dead", *["done"] * 4])


async def test_a_worker_that_is_told_to_stop_gives_back_what_it_cannot_finish(
    db: Database, worker: Hire, idle: Hire, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker_module, "CLOSE_SECONDS", 0.5)
    attempts: list[int] = []

    @job("test.slow", retry=AT_ONCE)
    async def slow(run: Run, _: str) -> None:
        attempts.append(run.attempt)
        if len(attempts) == 1:
            await asyncio.Event().wait()

    async with worker(slow):
        async with db.transaction() as tx:
            await enqueue(tx, slow, "")
        await until(lambda: attempts == [1])
    assert await db.reads.all(STATES) == ["waiting"]
    async with idle(slow) as other:
        await other.drain()
    assert (attempts, await db.reads.all(STATES)) == ([1, 1], ["done"]), "it counts as never begun"


async def test_a_worker_that_is_told_to_stop_while_it_takes_a_job_leaves_it_to_nobody(
    db: Database, worker: Hire, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken, go_on = asyncio.Event(), asyncio.Event()
    transaction = db.transaction

    @asynccontextmanager
    async def slow() -> AsyncIterator[Transaction]:
        async with transaction() as tx:
            yield tx
        if await db.reads.all(STATES) == ["running"]:  # committed, and the worker does not know it yet
            taken.set()
            await go_on.wait()

    @job("test.works")
    async def works(_run: Run, _args: str) -> None: ...

    async with db.transaction() as tx:
        await enqueue(tx, works, "")
    monkeypatch.setattr(db, "transaction", slow)
    async with worker(works) as closing:
        await taken.wait()
        for task in closing._tasks:
            task.cancel()
        await asyncio.wait(closing._tasks)
        go_on.set()
    assert await db.reads.all(STATES) == ["done"]


async def test_poison_is_buried_and_keeps_nobody_waiting(db: Database, worker: Hire) -> None:
    """Raises, exits, hangs, takes all memory: each in every slot but a few of the same queue, and of another."""
    late: list[float] = []

    @job("test.works", queue=SHARED)
    async def works(_run: Run, args: float) -> None:
        late.append(clock.monotonic() - args)

    async with worker(*POISONS, works):
        for _ in range(3):
            async with db.transaction() as tx:
                for poison in POISONS:
                    await enqueue(tx, poison, "")
        for _ in range(20):
            async with db.transaction() as tx:
                await enqueue(tx, works, clock.monotonic())
            await asyncio.sleep(0.05)
        await until(lambda: len(late) == 20)
        async with asyncio.timeout(30):
            while await db.reads.all(UNFINISHED):  # noqa: ASYNC110 — a row rings no bell
                await asyncio.sleep(0.05)
    assert sorted(await db.reads.all(STATES)) == ["dead"] * 12 + ["done"] * 20
    assert sorted(late)[10] < 1


async def test_what_hangs_in_one_queue_is_no_matter_to_another(db: Database, worker: Hire) -> None:
    ran = asyncio.Event()

    @job("test.waits", queue=Queue("stuck", 1, 2), limit=20.0)
    async def waits(_run: Run, _args: str) -> None:
        await ran.wait()

    @job("test.works", queue=Queue("free", 2, 2))
    async def works(_run: Run, _args: str) -> None:
        ran.set()

    async with worker(waits, works):
        async with db.transaction() as tx:
            for _ in range(10):
                await enqueue(tx, waits, "")
            await enqueue(tx, works, "")
        async with asyncio.timeout(15):
            await ran.wait()
