"""Durable work: a job is enqueued in the transaction that makes it necessary, and run at least once after its commit.

A job that is run twice, because its worker died before it could say that it was done, has the same id both times.
"""

import inspect
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple
from uuid import UUID

from pydantic import TypeAdapter

from doable.core import ids
from doable.core.db import Database, Transaction
from doable.core.hub import LocalHub
from doable.core.jobs import statements
from doable.core.mail import Mailer
from doable.core.outbound import Outbound
from doable.core.queries import Reader
from doable.settings import Settings


class Queue(NamedTuple):
    """Lower `rank`s are served first. Each has `slots` of its own in every worker: no other can block it."""

    name: str
    rank: int
    slots: int


MAIL = Queue("mail", 1, 8)
DEFAULT = Queue("default", 2, 8)
WEBHOOKS = Queue("webhooks", 3, 16)
FAILING_WEBHOOKS = Queue("failing_webhooks", 4, 8)
BULK = Queue("bulk", 5, 4)
HOUSEKEEPING = Queue("housekeeping", 6, 2)
PURGES = Queue("purges", 7, 1)


class Retry(NamedTuple):
    """How often a job is tried, and how long the first pause may be; each may be three times as long as the last."""

    attempts: int = 10
    first: timedelta = timedelta(seconds=10)

    def pause(self, attempt: int) -> timedelta:
        """The longest pause after an attempt, counted from 1."""
        return min(self.first * (3.0 ** (attempt - 1)), timedelta(days=1))


PATIENT = Retry()


class JobFailed(Exception):
    """What a job raises that has not worked out, in words that may be logged and kept. `final`: nor will it ever."""

    def __init__(self, message: str, *, final: bool = False) -> None:
        super().__init__(message)
        self.final = final


class Tools(NamedTuple):
    """What jobs work with."""

    db: Database
    settings: Settings
    mailer: Mailer
    outbound: Outbound
    hub: LocalHub


class Run(NamedTuple):
    """One attempt at a job. `job_id` is the same for all of them: effects are told apart by it."""

    job_id: UUID
    attempt: int
    enqueued_at: datetime
    tools: Tools


@dataclass(frozen=True, slots=True)
class Job[A]:
    """A kind of job. `limit`: seconds that an attempt may take. `every`: it is enqueued by itself, so often.

    `secret`: what it was given is forgotten when it is dead, so that nobody finds it and nobody can try again.
    `says`: it says something by the hub, to those whom processes serve.
    """

    name: str
    queue: Queue
    retry: Retry
    limit: float
    every: timedelta | None
    secret: bool
    says: bool
    adapter: TypeAdapter[A]
    function: Callable[[Run, A], Awaitable[None]]

    async def run(self, run: Run, args: str) -> None:
        await self.function(run, self.adapter.validate_json(args))


class Enqueued(NamedTuple):
    """What is announced after the commit."""

    queue: str
    job_id: UUID


def job[A](
    name: str,
    *,
    queue: Queue = DEFAULT,
    retry: Retry = PATIENT,
    limit: float = 30.0,
    secret: bool = False,
    says: bool = False,
) -> Callable[[Callable[[Run, A], Awaitable[None]]], Job[A]]:
    """Make a job of a function of a `Run` and of arguments, whose type (anything that Pydantic knows) it declares."""

    def made(function: Callable[[Run, A], Awaitable[None]]) -> Job[A]:
        _, args, *_ = inspect.get_annotations(function, eval_str=True).values()
        return Job(name, queue, retry, limit, None, secret, says, TypeAdapter(args), function)

    return made


def periodic(
    name: str, every: timedelta, *, limit: float = 300.0
) -> Callable[[Callable[[Run], Awaitable[None]]], Job[None]]:
    """Make a job that is one row for ever, which is due again when it is done: run once, however many workers are."""

    def made(function: Callable[[Run], Awaitable[None]]) -> Job[None]:
        async def run(run: Run, _: None) -> None:
            await function(run)

        retry = Retry(attempts=5, first=timedelta(seconds=30))
        adapter = TypeAdapter(type(None))
        return Job(name, HOUSEKEEPING, retry, limit, every, secret=False, says=False, adapter=adapter, function=run)

    return made


async def enqueue[A](
    tx: Transaction,
    job: Job[A],
    args: A,
    *,
    run_at: datetime | None = None,
    key: str | None = None,
    wanted: bool = True,
) -> None:
    """Have the job run once `tx` is committed, or after that at `run_at`.

    While a job waits under the same `key` it is that one, with these arguments, and no later than either was to run;
    it will see what this transaction has written. What is not `wanted` costs the same, so that nobody can tell by the
    time.
    """
    job_id = ids.new_id()
    statement = statements.ENQUEUE if key is None else statements.ENQUEUE_KEYED
    body = job.adapter.dump_json(args).decode()
    await tx.execute(statement, **_row(job, job_id, body), key=key, at=run_at, wanted=wanted)
    if run_at is None:
        tx.announce(Enqueued(job.queue.name, job_id), 1)


async def pending[A](reader: Reader, job: Job[A]) -> list[A]:
    """What it was given wherever it waits or runs, in no order."""
    rows = await reader.all(statements.PENDING, of_queue=job.queue.name, of_name=job.name)
    return [job.adapter.validate_json(args) for args in rows]


async def arm(tx: Transaction, job: Job[None]) -> None:
    """Have a periodic job run from now on, unless it does already; one that was cancelled does again."""
    row = _row(job, ids.id_of(job.name), "null")
    await tx.execute(statements.ENQUEUE_ONCE, **row, key=None, at=None, wanted=True)


def _row[A](job: Job[A], job_id: UUID, args: str) -> dict[str, object]:
    return {"id": job_id, "name": job.name, "queue": job.queue.name, "args": args}
