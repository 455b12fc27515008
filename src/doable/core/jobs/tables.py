"""The table of jobs: what has to be done, what is being done, and for a while what has been done."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import BigInteger, Column, Index, Integer, Named, Table, Text, TypedColumns, text

from doable.core.tables import Id, Instant, metadata

WAITING, RUNNING, DONE, DEAD, CANCELLED = STATES = ("waiting", "running", "done", "dead", "cancelled")


class JobColumns(TypedColumns):
    """`run_at`: when it may be taken; of one that runs, when somebody else may take it, because its worker has died.

    `fence` rises whenever somebody takes it: whoever finishes it has to know the newest. A `key` is unique among those
    that wait. `worker`: who runs it, so that others see when he has died (`presence`).
    """

    id: Named[UUID] = Column(Id, primary_key=True)
    name: Named[str] = Column(Text)
    queue: Named[str] = Column(Text)
    args: Named[str] = Column(Text)  # JSON; emptied when the job is done
    key: Named[str | None] = Column(Text)
    state: Named[str] = Column(Text)
    run_at: Named[datetime] = Column(Instant)
    attempts: Named[int] = Column(Integer)
    fence: Named[int] = Column(BigInteger)
    worker: Named[int | None] = Column(Integer)
    error: Named[str | None] = Column(Text)  # of the last attempt that failed
    created_at: Named[datetime] = Column(Instant)
    finished_at: Named[datetime | None] = Column(Instant)  # also of those that are dead or cancelled


_LIVE = text("finished_at IS NULL")
KEYED = text("key IS NOT NULL AND state = 'waiting'")
HELD = text("state = 'running' AND worker IS NOT NULL")

jobs = Table(
    "jobs",
    metadata,
    JobColumns,
    Index("ix_jobs_live", "queue", "run_at", postgresql_where=_LIVE, sqlite_where=_LIVE),
    Index("ix_jobs_finished_at", "finished_at"),
    Index("ix_jobs_worker", "worker", postgresql_where=HELD, sqlite_where=HELD),
    Index("uq_jobs_key", "key", unique=True, postgresql_where=KEYED, sqlite_where=KEYED),
)
