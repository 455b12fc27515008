"""What those who run the server may ask about jobs, and do to one."""

from collections.abc import Sequence
from uuid import UUID

from doable.core.db import Transaction
from doable.core.jobs import statements
from doable.core.jobs.statements import JobRow
from doable.core.queries import Reader


async def newest(reader: Reader, states: Sequence[str], most: int) -> list[JobRow]:
    return await reader.all(statements.JOBS, states=list(states), most=most)


async def find(reader: Reader, job_id: UUID) -> JobRow | None:
    return await reader.first(statements.JOB, job_id=job_id)


async def retry(tx: Transaction, job_id: UUID) -> bool:
    """Have a job that is dead or waits run at once, as often as a new one; `False`: it is neither, or a dead mail."""
    return await tx.execute(statements.REVIVE, job_id=job_id) == 1


async def cancel(tx: Transaction, job_id: UUID) -> bool:
    """Have a job that is dead or waits never run; `False`: it is neither."""
    return await tx.execute(statements.CANCEL, job_id=job_id) == 1
