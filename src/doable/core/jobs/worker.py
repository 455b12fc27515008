"""The worker: takes jobs that are due, runs them, and says what became of them."""

import asyncio
import random
from collections.abc import Iterable
from datetime import timedelta
from typing import Any

import structlog
from sqlalchemy.sql.base import Executable

from doable.core import clock, failpoints
from doable.core.db import DatabaseError
from doable.core.jobs import Job, JobFailed, Queue, Run, Tools, arm, statements
from doable.core.jobs.bell import Bell
from doable.core.jobs.statements import Claimed
from doable.core.telemetry import JobMetrics

POLL_SECONDS = 1.0
MARGIN_SECONDS = 5.0
"""What a lease has beyond the time limit, to write down how it went."""
CLOSE_SECONDS = 3.0
"""How long jobs that run may take when the process ends; after it they are given back."""
COUNT_SECONDS = 15.0

_log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)


class Worker:
    """Several workers share a database: each job is taken by one, and by another when that one has died."""

    def __init__(self, tools: Tools, jobs: Iterable[Job[Any]], bell: Bell, metrics: JobMetrics) -> None:
        self._tools = tools
        self._jobs = {job.name: job for job in jobs}
        self._queues = sorted({job.queue for job in self._jobs.values()}, key=lambda queue: queue.rank)
        self._bell = bell
        self._metrics = metrics
        self._running: dict[asyncio.Task[None], tuple[Queue, Claimed]] = {}
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        self._bell.listen(queue.name for queue in self._queues)
        self._tasks = [
            asyncio.create_task(self._work(), name="worker"),
            asyncio.create_task(self._count_often(), name="jobs counted"),
        ]

    async def close(self) -> None:
        """Take nothing more, let what runs come to its end, and give back what does not in time."""
        await _cancel(self._tasks)
        if self._running:
            await asyncio.wait(self._running, timeout=CLOSE_SECONDS)
        unfinished = dict(self._running)
        await _cancel(unfinished)
        rows = [{"job_id": claimed.id, "held": claimed.fence} for _, claimed in unfinished.values()]
        try:
            async with asyncio.timeout(CLOSE_SECONDS), self._tools.db.transaction() as tx:
                await tx.many(statements.GIVE_BACK, rows)
        except (DatabaseError, TimeoutError):
            _log.warning("jobs_not_given_back", count=len(rows))  # their leases will end

    async def drain(self) -> None:
        """Run what is due, and what that makes due, until nothing is left."""
        while await self._take() or self._running:
            await asyncio.gather(*self._running)

    async def _work(self) -> None:
        armed = False
        while True:
            try:
                if not armed:
                    await self._arm()
                    armed = True
                await self._take()
            except Exception as error:  # noqa: BLE001 — the database comes back, and what is due is still there
                _log.warning("jobs_not_taken", error=repr(error))
                await asyncio.sleep(POLL_SECONDS)
            await self._bell.wait(POLL_SECONDS)

    async def _arm(self) -> None:
        async with self._tools.db.transaction() as tx:
            for job in self._jobs.values():
                if job.every is not None:
                    await arm(tx, job)

    async def _take(self) -> int:
        """Start what is due in each queue that has a slot free; how many."""
        taken = 0
        for queue in self._queues:
            free = queue.slots - sum(queue == used for used, _ in self._running.values())
            if free > 0:
                taken += await self._take_from(queue, free)
        return taken

    async def _take_from(self, queue: Queue, free: int) -> int:
        kinds = [job for job in self._jobs.values() if job.queue == queue]
        which: dict[str, Any] = {"of_queue": queue.name, "names": [job.name for job in kinds]}
        if await self._tools.db.reads.first(statements.SOMETHING_DUE, **which) is None:
            return 0
        lease = max(job.limit for job in kinds) + MARGIN_SECONDS
        async with self._tools.db.transaction() as tx:
            claimed = await tx.all(statements.CLAIM, **which, most=free, seconds=lease)
        for one in claimed:
            task = asyncio.create_task(self._run(self._jobs[one.name], one), name=f"job {one.name}")
            self._running[task] = (queue, one)
            task.add_done_callback(self._ended)
        return len(claimed)

    def _ended(self, task: asyncio.Task[None]) -> None:
        del self._running[task]
        self._bell.ring()  # a slot is free

    async def _run(self, job: Job[Any], claimed: Claimed) -> None:
        began = clock.monotonic()
        failure = await self._attempt(job, claimed)
        self._metrics.ran(job.name, clock.monotonic() - began, failed=failure is not None)
        await failpoints.reach("jobs.before_finish")
        try:
            await self._finish(claimed, *_verdict(job, claimed, failure), failure)
        except DatabaseError as error:
            _log.warning("job_not_finished", job=job.name, id=str(claimed.id), error=repr(error))  # it will run again

    async def _attempt(self, job: Job[Any], claimed: Claimed) -> JobFailed | None:
        if claimed.attempts > job.retry.attempts:
            return JobFailed("its workers died", final=True)
        try:
            async with asyncio.timeout(job.limit):
                await job.run(Run(claimed.id, claimed.attempts, claimed.created_at, self._tools), claimed.args)
        except JobFailed as failure:
            _log.warning("job_failed", job=job.name, id=str(claimed.id), attempt=claimed.attempts, error=str(failure))
            return failure
        except (Exception, SystemExit) as error:  # noqa: BLE001 — whatever it does, it is one job
            _log.exception("job_failed", job=job.name, id=str(claimed.id), attempt=claimed.attempts)
            return JobFailed(type(error).__name__)  # its words may be anybody's
        return None

    async def _finish(
        self, claimed: Claimed, statement: Executable, seconds: float | None, failure: JobFailed | None
    ) -> None:
        later = {} if seconds is None else {"seconds": seconds}
        why = None if failure is None else str(failure)
        async with self._tools.db.transaction() as tx:
            mine = await tx.execute(statement, job_id=claimed.id, held=claimed.fence, why=why, **later)
        if not mine:
            _log.warning("job_taken_over", job=claimed.name, id=str(claimed.id), attempt=claimed.attempts)
        if statement is statements.BURY:
            _log.error("job_dead", job=claimed.name, id=str(claimed.id), error=why)

    async def _count_often(self) -> None:
        while True:
            try:
                self._metrics.counted(await self._tools.db.reads.all(statements.DEPTHS))
            except DatabaseError as error:
                _log.warning("jobs_not_counted", error=repr(error))
            await asyncio.sleep(COUNT_SECONDS)


def _verdict(job: Job[Any], claimed: Claimed, failure: JobFailed | None) -> tuple[Executable, float | None]:
    """What to write, and in how many seconds the job is due again."""
    if failure is not None and not failure.final and claimed.attempts < job.retry.attempts:
        # Any time up to the pause: those who failed together do not come back together.
        longest = job.retry.pause(claimed.attempts) / timedelta(seconds=1)
        return statements.RETRY, random.uniform(0, longest)  # noqa: S311 — nobody gains by guessing it
    if job.every is not None:
        return statements.REARM, job.every / timedelta(seconds=1)
    return (statements.FINISH if failure is None else statements.BURY), None


async def _cancel(tasks: Iterable[asyncio.Task[None]]) -> None:
    tasks = list(tasks)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
