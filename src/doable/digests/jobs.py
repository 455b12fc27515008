"""What digests leave to a worker."""

from datetime import timedelta
from uuid import UUID

from doable.core import clock, jobs, post, zones
from doable.core.db import Database
from doable.core.jobs import Run, job, periodic
from doable.core.mail import SEND_SECONDS
from doable.digests import mails, operations, statements
from doable.todos.statements import Filter, TodoRow, todos_by

_MINE = todos_by(Filter(completed=False, due_before=True, assignee="me"), "-due")
_NOBODYS = todos_by(Filter(completed=False, due_before=True, assignee="none"), "-due")


@periodic("digests.plan", timedelta(minutes=1))
async def plan(run: Run) -> None:
    planned = [UUID(int=0)] * operations.AT_ONCE
    while len(planned) == operations.AT_ONCE:
        async with run.tools.db.transaction() as tx:
            planned = await operations.plan(tx, clock.now())
            for user_id in planned:
                await jobs.enqueue(tx, send, user_id, key=f"digest:{user_id}")


@job("digests.send", queue=jobs.BULK, limit=SEND_SECONDS + 10)
async def send(run: Run, user_id: UUID) -> None:
    """Made when it is sent, of what is so then: nothing of it is kept."""
    db = run.tools.db
    reader = await db.reads.first(statements.READER, user_id=user_id)
    if reader is None:
        return
    today = clock.now().astimezone(zones.zone(reader.timezone)).date()
    todos = await _due(db, user_id, (today + timedelta(days=1)).isoformat())
    if todos:
        await post.deliver(run, mails.digest(run.tools.settings, reader.email, today, todos))


async def _due(db: Database, user_id: UUID, before: str) -> list[TodoRow]:
    """The latest of those that are the reader's or nobody's, one more than are named."""
    asked = {"actor_id": user_id, "due_before": before, "page_size": mails.MOST + 1, "page_offset": 0}
    return [*await db.reads.all(_MINE.first, **asked), *await db.reads.all(_NOBODYS.first, **asked)]


JOBS = (plan, send)
