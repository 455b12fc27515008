"""The worker: takes jobs that are due, runs them, and says what became of them."""

import asyncio
import random
from collections.abc import Iterable
from datetime import timedelta
from typing import Any, NamedTuple

import structlog
from sqlalchemy.sql.base import Executable

from doable.core import clock, failpoints
from doable.core.db import DatabaseError, OutcomeUnknown, SerializationFailure, Unavailable, UniqueViolation
from doable.core.jobs import Job, JobFailed, Queue, Run, Tools, arm, statements
from doable.core.jobs.bell import Bell
from doable.core.jobs.presence import Presence
from doable.core.jobs.statements import Claimed, Left
from doable.core.jobs.tables import RUNNING, WAITING
from doable.core.telemetry import JobMetrics

POLL_SECONDS = 1.0
MARGIN_SECONDS = 5.0
"""What a lease has beyond the time limit, to write down how it went."""
CLOSE_SECONDS = 3.0
"""How long jobs that run may take when the process ends; after it they are given back."""
COUNT_SECONDS = 15.0
LOOK_SECONDS = 0.25
"""How often it is looked who has died. Who seems to have, twice in a row, has: a connection is lost for a moment."""
ALONE_SECONDS = 0.1
"""How long an orphan has to live until the next one is run."""
DIED = "its worker died"

_log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)


class _Taken(NamedTuple):
    """`is_orphan`: a worker died while it ran, perhaps of it."""

    queue: Queue
    claimed: Claimed
    is_orphan: bool
    at: float


class _Verdict(NamedTuple):
    """What becomes of a job: a statement, and in how many seconds it is due again."""

    claimed: Claimed
    error: str | None
    statement: Executable
    later: dict[str, float]


class Worker:
    """Several workers share a database: each job is taken by one, and by another when that one has died."""

    def __init__(
        self,
        tools: Tools,
        jobs: Iterable[Job[Any]],
        bell: Bell,
        metrics: JobMetrics,
        presence: Presence | None = None,
    ) -> None:
        self._tools = tools
        self._jobs = {job.name: job for job in jobs}
        self._queues = sorted({job.queue for job in self._jobs.values()}, key=lambda queue: queue.rank)
        self._bell = bell
        self._metrics = metrics
        self._presence = presence or Presence()
        self._missed: set[int] = set()
        self._running: dict[asyncio.Task[None], _Taken] = {}
        self._claiming: asyncio.Task[int] | None = None
        self._verdicts: list[_Verdict] = []
        self._writing = asyncio.Lock()
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        await self._presence.start()
        self._bell.listen(queue.name for queue in self._queues)
        self._tasks = [
            asyncio.create_task(self._work(), name="worker"),
            asyncio.create_task(self._inherit_often(), name="jobs inherited"),
            asyncio.create_task(self._count_often(), name="jobs counted"),
        ]

    async def close(self) -> None:
        """Take nothing more, let what runs come to its end, and give back what does not in time."""
        await _cancel(self._tasks)
        if self._claiming is not None:
            await asyncio.wait([self._claiming], timeout=CLOSE_SECONDS)
        if self._running:
            await asyncio.wait(self._running, timeout=CLOSE_SECONDS)
        unfinished = dict(self._running)
        await _cancel(unfinished)
        rows = [{"job_id": claimed.id, "held": claimed.fence} for _, claimed, *_ in unfinished.values()]
        try:
            async with asyncio.timeout(CLOSE_SECONDS), self._tools.db.transaction() as tx:
                await tx.many(statements.GIVE_BACK, rows)
        except (DatabaseError, TimeoutError):
            _log.warning("jobs_not_given_back", count=len(rows))  # others see that this worker is gone
        await self._presence.close()

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
        for job in self._jobs.values():
            if job.every is not None:
                async with self._tools.db.transaction() as tx:  # one lock at a time: verdicts have another order
                    await arm(tx, job)

    async def _take(self) -> int:
        """Start what is due in each queue that has a slot free; how many."""
        taken = 0
        for queue in self._queues:
            free = queue.slots - sum(queue == running.queue for running in self._running.values())
            if free > 0:
                taken += await self._take_from(queue, free)
        return taken

    async def _take_from(self, queue: Queue, free: int) -> int:
        """Orphans are begun one at a time: whatever dies with one that kills its process does so only once."""
        kinds = [job for job in self._jobs.values() if job.queue == queue]
        late = clock.monotonic() - ALONE_SECONDS
        has_orphan = any(taken.is_orphan and taken.at > late for taken in self._running.values())
        states = [WAITING] if has_orphan else [WAITING, RUNNING]
        which: dict[str, Any] = {"of_queue": queue.name, "names": [job.name for job in kinds]}
        first = await self._tools.db.reads.first(statements.FIRST_DUE, **which, states=states)
        if first is None:
            return 0
        which |= {"states": [first], "most": 1 if first == RUNNING else free}
        which |= {"seconds": max(job.limit for job in kinds) + MARGIN_SECONDS, "mine": self._presence.number}
        self._claiming = asyncio.create_task(self._claim(queue, which, is_orphan=first == RUNNING), name="jobs claimed")
        return await asyncio.shield(self._claiming)  # what is cancelled in its COMMIT may be ours, and nobody knows

    async def _claim(self, queue: Queue, which: dict[str, Any], *, is_orphan: bool) -> int:
        async with self._tools.db.transaction() as tx:
            claimed = await tx.all(statements.CLAIM, **which)
        for one in claimed:
            task = asyncio.create_task(self._run(self._jobs[one.name], one), name=f"job {one.name}")
            self._running[task] = _Taken(queue, one, is_orphan, clock.monotonic())
            task.add_done_callback(self._ended)
        if claimed and is_orphan:
            self._bell.ring()  # others may be due behind it
            asyncio.get_running_loop().call_later(ALONE_SECONDS, self._bell.ring)
        return len(claimed)

    def _ended(self, task: asyncio.Task[None]) -> None:
        del self._running[task]
        self._bell.ring()  # a slot is free

    async def _run(self, job: Job[Any], claimed: Claimed) -> None:
        began = clock.monotonic()
        failure = await self._attempt(job, claimed)
        self._metrics.ran(job.name, clock.monotonic() - began, failed=failure is not None)
        await failpoints.reach("jobs.before_finish")
        await self._finish(_verdict(job, claimed, failure))

    async def _attempt(self, job: Job[Any], claimed: Claimed) -> JobFailed | None:
        if claimed.attempts > job.retry.attempts:
            return JobFailed(DIED, final=True)
        try:
            async with asyncio.timeout(job.limit):
                await job.run(Run(claimed.id, claimed.attempts, claimed.created_at, self._tools), claimed.args)
        except JobFailed as failure:
            _log.warning("job_failed", job=job.name, id=str(claimed.id), attempt=claimed.attempts, error=str(failure))
            return failure
        except (Unavailable, SerializationFailure, OutcomeUnknown) as error:  # no fault of the job's
            told = {"job": job.name, "id": str(claimed.id), "attempt": claimed.attempts}
            _log.warning("job_interrupted", **told, error=repr(error))
            return JobFailed(type(error).__name__)
        except (Exception, SystemExit) as error:  # noqa: BLE001 — whatever it does, it is one job
            _log.exception("job_failed", job=job.name, id=str(claimed.id), attempt=claimed.attempts)
            return JobFailed(type(error).__name__)  # its words may be anybody's
        return None

    async def _finish(self, verdict: _Verdict) -> None:
        """Who comes while others are written is written with those who have come as well."""
        self._verdicts.append(verdict)
        async with self._writing:
            verdicts, self._verdicts = self._verdicts, []
            if verdicts:
                await self._write(verdicts)

    async def _write(self, verdicts: list[_Verdict]) -> None:
        try:
            try:
                mine = await self._written(verdicts)
            except (UniqueViolation, SerializationFailure):
                # Another was enqueued meanwhile under the key of one that is to wait again: now it can be seen.
                mine = await self._written(verdicts)
        except DatabaseError as error:
            _log.warning("jobs_not_finished", count=len(verdicts), error=repr(error))  # they will run again
            return
        for each, changed in zip(verdicts, mine, strict=True):
            told = {"job": each.claimed.name, "id": str(each.claimed.id), "attempt": each.claimed.attempts}
            if not changed:
                _log.warning("job_taken_over", **told)
            elif each.statement in {statements.BURY, statements.BURY_SECRET}:
                _log.error("job_dead", **told, error=each.error)

    async def _written(self, verdicts: list[_Verdict]) -> list[int]:
        """All or none; how many rows each has changed."""
        async with self._tools.db.transaction() as tx:
            return [
                await tx.execute(
                    each.statement, job_id=each.claimed.id, held=each.claimed.fence, why=each.error, **each.later
                )
                for each in verdicts
            ]

    async def _inherit_often(self) -> None:
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            try:
                await self._inherit()
            except Exception as error:  # noqa: BLE001 — as above; leases end, too
                _log.warning("jobs_not_inherited", error=repr(error))
                self._missed = set()
                await asyncio.sleep(POLL_SECONDS)

    async def _inherit(self) -> None:
        """What a worker was running that has died is due, at once the first time: it may have been another's fault."""
        reads = self._tools.db.reads
        holders = {each for each in await reads.all(statements.HOLDERS) if each is not None}
        missed, self._missed = self._missed, await self._presence.gone(holders) if holders else set()
        if not (gone := missed & self._missed):
            return
        left = [one for one in await reads.all(statements.LEFT, gone=list(gone)) if one.name in self._jobs]
        rows = [
            {"job_id": one.id, "held": one.fence, "why": DIED, "seconds": _mourned(self._jobs[one.name], one)}
            for one in left
        ]
        if rows:
            async with self._tools.db.transaction() as tx:
                await tx.many(statements.INHERIT, rows)
            _log.warning("jobs_inherited", count=len(rows))
            self._bell.ring()

    async def _count_often(self) -> None:
        while True:
            try:
                self._metrics.counted(await self._tools.db.reads.all(statements.DEPTHS))
            except Exception as error:  # noqa: BLE001 — the next count may succeed
                _log.warning("jobs_not_counted", error=repr(error))
            await asyncio.sleep(COUNT_SECONDS)


def _verdict(job: Job[Any], claimed: Claimed, failure: JobFailed | None) -> _Verdict:
    error = None if failure is None else str(failure)
    if failure is not None and not failure.final and claimed.attempts < job.retry.attempts:
        # Any time up to the pause: those who failed together do not come back together.
        longest = job.retry.pause(claimed.attempts) / timedelta(seconds=1)
        pause = random.uniform(0, longest)  # noqa: S311 — nobody gains by guessing it
        return _Verdict(claimed, error, statements.RETRY, {"seconds": pause})
    if job.every is not None:
        return _Verdict(claimed, error, statements.REARM, {"seconds": job.every / timedelta(seconds=1)})
    if failure is None:
        return _Verdict(claimed, error, statements.FINISH, {})
    return _Verdict(claimed, error, statements.BURY_SECRET if job.secret else statements.BURY, {})


def _mourned(job: Job[Any], left: Left) -> float:
    """Seconds until it is run again: none, but for what has died twice, and would kill one worker after the other.

    Of those that have died together again they come back one after the other.
    """
    if left.error != DIED or left.attempts >= job.retry.attempts:
        return 0.0
    longest = job.retry.pause(left.attempts - 1) / timedelta(seconds=1)
    return random.uniform(longest / 2, longest)  # noqa: S311 — nobody gains by guessing it


async def _cancel(tasks: Iterable[asyncio.Task[None]]) -> None:
    tasks = list(tasks)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
