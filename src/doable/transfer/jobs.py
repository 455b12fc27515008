"""What imports leave to a worker: their parts, one after the other, and what is left of old ones."""

from datetime import timedelta
from typing import NamedTuple
from uuid import UUID

from doable.core import clock
from doable.core.db import Transaction
from doable.core.jobs import Queue, Retry, Run, enqueue, job, pending, periodic
from doable.transfer import statements
from doable.transfer.operations import applying, receiving

QUEUE = Queue("imports", 4, 2)
RETRY = Retry(attempts=8, first=timedelta(seconds=1))
KEPT = timedelta(days=30)


class Step(NamedTuple):
    """The next part of an import."""

    import_id: UUID
    number: int


@job("transfer.apply", queue=QUEUE, retry=RETRY)
async def apply(run: Run, step: Step) -> None:
    """Each part in a transaction of its own, which also has the next one run."""
    try:
        async with run.tools.db.transaction() as tx:
            if await applying.apply(tx, step.import_id, step.number):
                await proceed(tx, step.import_id, step.number + 1)
    except Exception:
        if run.attempt >= RETRY.attempts:
            async with run.tools.db.transaction() as tx:
                await applying.fail(tx, step.import_id)
        raise


@periodic("transfer.purge", timedelta(minutes=10))
async def purge(run: Run) -> None:
    """Imports of long ago, and files that never came whole, are forgotten; what nobody will go on with has failed."""
    now, db = clock.now(), run.tools.db
    under_way = set(await db.reads.all(statements.UNDER_WAY))  # first: each has its job until it is finished
    left = under_way - {step.import_id for step in await pending(db.reads, apply)}
    async with db.transaction() as tx:
        for import_id in left:
            await applying.fail(tx, import_id)
        await tx.execute(statements.FORGET_OLD, before=now - KEPT, abandoned_before=now - receiving.ABANDONED)


async def proceed(tx: Transaction, import_id: UUID, number: int = 0) -> None:
    await enqueue(tx, apply, Step(import_id, number))


JOBS = (apply, purge)
