"""A job happens if its transaction does: at least once, by one worker at a time, and not before."""

import asyncio
import datetime as dt
from collections import Counter
from typing import NamedTuple
from uuid import UUID

import pytest
from pydantic import ValidationError
from sqlalchemy import select, text, update

from doable.core import clock, jobs
from doable.core.db import Database
from doable.core.jobs import Job, JobFailed, Queue, Retry, Run, enqueue, inspection, job, statements
from doable.core.jobs import worker as worker_module
from doable.core.jobs.statements import JobRow
from doable.core.jobs.tables import jobs as table
from doable.core.queries import query, scalar
from doable.core.telemetry import Depth, Metrics
from tests.core.jobs.conftest import Hire
from tests.support.waiting import until

AT_ONCE = Retry(attempts=3, first=dt.timedelta())
ALL = query(JobRow, select(*(table.c[name] for name in JobRow._fields)).order_by(table.c.created_at))
ARGS = query(scalar, select(table.c.args))


class Greeting(NamedTuple):
    whom: str
    number: int


def greet(greeted: list[Greeting]) -> Job[Greeting]:
    @job("test.greet", retry=AT_ONCE)
    async def greet(_: Run, args: Greeting) -> None:
        greeted.append(args)

    return greet


async def states(db: Database) -> list[str]:
    return [row.state for row in await db.reads.all(ALL)]


async def test_a_committed_job_runs_once_with_what_it_was_given(db: Database, worker: Hire) -> None:
    greeted: list[Greeting] = []
    kind = greet(greeted)
    async with worker(kind):
        async with db.transaction() as tx:
            await enqueue(tx, kind, Greeting("Ana", 7))
            await asyncio.sleep(0.05)
            assert not greeted
        await until(lambda: len(greeted) == 1)
        await asyncio.sleep(0.1)
    assert greeted == [Greeting("Ana", 7)]
    assert await states(db) == ["done"]


async def test_a_job_of_a_transaction_that_fails_does_not_run(db: Database, idle: Hire) -> None:
    greeted: list[Greeting] = []
    kind = greet(greeted)
    with pytest.raises(ZeroDivisionError):
        async with db.transaction() as tx:
            await enqueue(tx, kind, Greeting("Ana", 7))
            raise ZeroDivisionError
    async with idle(kind) as worker:
        await worker.drain()
    assert (greeted, await states(db)) == ([], [])


async def test_what_is_enqueued_wakes_the_worker_of_its_process(
    db: Database, worker: Hire, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker_module, "POLL_SECONDS", 30.0)
    greeted: list[Greeting] = []
    kind = greet(greeted)
    async with worker(kind):
        await asyncio.sleep(0.2)
        async with db.transaction() as tx:
            await enqueue(tx, kind, Greeting("Ana", 1))
        await until(lambda: bool(greeted))


async def test_a_worker_that_hears_nothing_looks_every_second(db: Database, worker: Hire) -> None:
    greeted: list[Greeting] = []
    kind = greet(greeted)
    async with worker(kind):
        await asyncio.sleep(0.2)
        db.listeners.clear()
        async with db.transaction() as tx:
            await enqueue(tx, kind, Greeting("Ana", 1))
        await until(lambda: bool(greeted))


async def test_a_job_for_later_waits(db: Database, idle: Hire) -> None:
    greeted: list[Greeting] = []
    kind = greet(greeted)
    async with db.transaction() as tx:
        await enqueue(tx, kind, Greeting("Ana", 1), run_at=clock.now() + dt.timedelta(minutes=1))
        await enqueue(tx, kind, Greeting("Ana", 2), run_at=clock.now() - dt.timedelta(minutes=1))
    async with idle(kind) as worker:
        await worker.drain()
        assert [each.number for each in greeted] == [2]
        async with db.transaction() as tx:
            await tx.execute(update(table).values(run_at=clock.now()).where(table.c.state == "waiting"))
        await worker.drain()
    assert [each.number for each in greeted] == [2, 1]


async def test_under_a_key_one_job_waits_and_the_next_may_when_it_is_taken(db: Database, idle: Hire) -> None:
    greeted: list[Greeting] = []
    kind = greet(greeted)
    async with idle(kind) as worker:
        for number in (1, 2):
            async with db.transaction() as tx:
                await enqueue(tx, kind, Greeting("Ana", number), key="ana")
                await enqueue(tx, kind, Greeting("Bob", number), key="bob")
        await worker.drain()
        assert sorted(greeted) == [Greeting("Ana", 2), Greeting("Bob", 2)], "with what was asked for last"
        async with db.transaction() as tx:
            await enqueue(tx, kind, Greeting("Ana", 3), key="ana")
        await worker.drain()
    assert greeted[2:] == [Greeting("Ana", 3)]


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
async def test_a_job_that_stands_for_mine_is_not_run_before_my_commit(db: Database, idle: Hire) -> None:
    greeted: list[Greeting] = []
    kind = greet(greeted)
    async with db.transaction() as tx:
        await enqueue(tx, kind, Greeting("Ana", 1), key="ana")
    async with idle(kind) as worker:
        async with db.transaction() as tx:
            await enqueue(tx, kind, Greeting("Ana", 2), key="ana")
            await asyncio.create_task(worker.drain())
            assert not greeted
        await worker.drain()
    assert greeted == [Greeting("Ana", 2)]


async def test_what_is_not_wanted_leaves_nothing(db: Database) -> None:
    async with db.transaction() as tx:
        await enqueue(tx, greet([]), Greeting("Ana", 1), wanted=False)
    assert await states(db) == []


async def test_several_workers_take_each_job_once(db: Database, worker: Hire) -> None:
    greeted: list[Greeting] = []
    kind = greet(greeted)
    async with db.transaction() as tx:
        for number in range(300):
            await enqueue(tx, kind, Greeting("Ana", number))
    async with worker(kind), worker(kind), worker(kind), worker(kind):
        await until(lambda: len(greeted) >= 300)
    assert Counter(each.number for each in greeted) == dict.fromkeys(range(300), 1)
    assert set(await states(db)) == {"done"}


async def test_what_is_done_keeps_no_secret(db: Database, idle: Hire) -> None:
    kind = greet([])
    async with db.transaction() as tx:
        await enqueue(tx, kind, Greeting("a secret", 1))
    async with idle(kind) as worker:
        await worker.drain()
    assert await db.reads.all(ARGS) == [""]


@pytest.mark.parametrize("secret", [True, False])
async def test_what_is_dead_keeps_what_it_was_given_unless_that_is_secret(
    db: Database, idle: Hire, *, secret: bool
) -> None:
    @job("test.fail", secret=secret)
    async def fail(_run: Run, _args: str) -> None:
        raise JobFailed("nobody there", final=True)

    async with db.transaction() as tx:
        await enqueue(tx, fail, "a secret")
    async with idle(fail) as worker:
        await worker.drain()
    (row,) = await db.reads.all(ALL)
    assert (row.state, await db.reads.all(ARGS)) == ("dead", ["" if secret else '"a secret"'])
    async with db.transaction() as tx:
        assert await inspection.retry(tx, row.id) is not secret
    assert await states(db) == ["dead" if secret else "waiting"]


async def test_a_job_that_fails_is_tried_again_and_buried_in_the_end(db: Database, idle: Hire) -> None:
    attempts: list[tuple[UUID, int]] = []

    @job("test.fail", retry=AT_ONCE)
    async def fail(run: Run, _: Greeting) -> None:
        attempts.append((run.job_id, run.attempt))
        if run.attempt == 2:
            raise LookupError("a secret")
        raise JobFailed("not now")

    metrics = Metrics()
    async with db.transaction() as tx:
        await enqueue(tx, fail, Greeting("Ana", 1))
    async with idle(fail, metrics=metrics) as worker:
        await worker.drain()
    (row,) = await db.reads.all(ALL)
    assert attempts == [(row.id, 1), (row.id, 2), (row.id, 3)]
    assert (row.state, row.attempts, row.error) == ("dead", 3, "not now")
    assert b'doable_jobs_attempts_total{job="test.fail",outcome="failed"} 3.0' in metrics.render()


async def test_what_can_never_work_is_not_tried_again(db: Database, idle: Hire) -> None:
    attempts: list[int] = []

    @job("test.fail", retry=AT_ONCE)
    async def fail(run: Run, _: Greeting) -> None:
        attempts.append(run.attempt)
        raise JobFailed("nobody there", final=True)

    async with db.transaction() as tx:
        await enqueue(tx, fail, Greeting("Ana", 1))
    async with idle(fail) as worker:
        await worker.drain()
    assert (attempts, await states(db)) == ([1], ["dead"])


def test_pauses_grow_and_have_an_end() -> None:
    pauses = [Retry(first=dt.timedelta(seconds=10)).pause(attempt) for attempt in range(1, 12)]
    assert pauses[:3] == [dt.timedelta(seconds=10), dt.timedelta(seconds=30), dt.timedelta(seconds=90)]
    assert pauses[-1] == dt.timedelta(days=1)
    assert sum(pauses[:9], dt.timedelta()) > dt.timedelta(hours=24)


@pytest.mark.parametrize("chance", [0.0, 0.25, 1.0])
async def test_the_pause_is_any_time_up_to_the_longest(
    db: Database, idle: Hire, monkeypatch: pytest.MonkeyPatch, chance: float
) -> None:
    monkeypatch.setattr("random.uniform", lambda least, longest: least + (longest - least) * chance)

    @job("test.fail", retry=Retry(attempts=3, first=dt.timedelta(seconds=600)))
    async def fail(_run: Run, _args: Greeting) -> None:
        raise JobFailed("not now")

    async with db.transaction() as tx:
        await enqueue(tx, fail, Greeting("Ana", 1))
    async with idle(fail) as worker:
        await worker._take()
        await asyncio.gather(*worker._running)
    (row,) = await db.reads.all(ALL)
    assert (row.state, row.attempts) == ("waiting", 1)
    assert (row.run_at - clock.now()).total_seconds() == pytest.approx(600 * chance, abs=60)


async def test_a_kind_that_is_not_known_here_is_left_to_others(db: Database, idle: Hire) -> None:
    async with db.transaction() as tx:
        await enqueue(tx, greet([]), Greeting("Ana", 1))

    @job("test.other")
    async def other(_run: Run, _args: Greeting) -> None: ...

    async with idle(other) as worker:
        await worker.drain()
    assert await states(db) == ["waiting"]


async def test_arguments_that_cannot_be_read_are_a_failure_like_others(db: Database, idle: Hire) -> None:
    kind = greet([])
    async with db.transaction() as tx:
        await enqueue(tx, kind, Greeting("Ana", 1))
        await tx.execute(text("UPDATE jobs SET args = '[1]'"))
    with pytest.raises(ValidationError):
        kind.adapter.validate_json("[1]")
    async with idle(kind) as worker:
        await worker.drain()
    assert await states(db) == ["dead"]


async def test_queues_are_served_in_their_order(db: Database, idle: Hire) -> None:
    order: list[str] = []
    kinds = []
    for name, rank in (("last", 9), ("first", 0), ("middle", 5)):

        @job(f"test.{name}", queue=Queue(name, rank, 1))
        async def note(_run: Run, args: str) -> None:
            order.append(args)

        kinds.append(note)
        async with db.transaction() as tx:
            await enqueue(tx, note, name)
    async with idle(*kinds) as worker:
        await worker.drain()
    assert order == ["first", "middle", "last"]


async def test_a_periodic_job_runs_once_whatever_the_number_of_workers(db: Database, worker: Hire) -> None:
    ran: list[UUID] = []

    @jobs.periodic("test.tick", dt.timedelta(hours=1))
    async def tick(run: Run) -> None:
        ran.append(run.job_id)

    async with worker(tick), worker(tick), worker(tick):
        await until(lambda: bool(ran))
        await asyncio.sleep(0.3)
        assert len(ran) == 1
        async with db.transaction() as tx:
            await tx.execute(update(table).values(run_at=clock.now()))
        await until(lambda: len(ran) == 2)
        await asyncio.sleep(0.3)
    (row,) = await db.reads.all(ALL)
    assert (len(ran), row.state, row.attempts) == (2, "waiting", 0)
    assert (row.run_at - clock.now()).total_seconds() == pytest.approx(3600, abs=30)


async def test_a_periodic_job_that_fails_comes_again_at_its_next_time(db: Database, idle: Hire) -> None:
    @jobs.periodic("test.tick", dt.timedelta(hours=1))
    async def tick(_: Run) -> None:
        raise JobFailed("not today", final=True)

    async with idle(tick) as worker:
        await worker._arm()
        await worker.drain()
        (row,) = await db.reads.all(ALL)
        assert (row.state, row.error, row.attempts) == ("waiting", "not today", 0)
        await worker._arm()  # as the next process does that starts
    assert await db.reads.all(ALL) == [row]


async def test_the_depth_of_the_queues_is_measured(db: Database) -> None:
    kind = greet([])
    async with db.transaction() as tx:
        for number in range(3):
            await enqueue(tx, kind, Greeting("Ana", number), run_at=clock.now() - dt.timedelta(minutes=5))
    metrics = Metrics()
    depths = await db.reads.all(statements.DEPTHS)
    metrics.jobs.counted(depths)
    assert b'doable_jobs{queue="default",state="waiting"} 3.0' in metrics.render()
    assert depths[0].oldest == pytest.approx(300, abs=30)


async def test_jobs_are_counted_again_after_a_count_that_went_wrong(
    worker: Hire, monkeypatch: pytest.MonkeyPatch
) -> None:
    counts: list[int] = []

    def counted(depths: list[Depth]) -> None:
        counts.append(len(depths))
        if len(counts) == 1:
            raise LookupError

    metrics = Metrics()
    monkeypatch.setattr(metrics.jobs, "counted", counted)
    monkeypatch.setattr(worker_module, "COUNT_SECONDS", 0.02)
    async with worker(metrics=metrics):
        await until(lambda: len(counts) > 1)
