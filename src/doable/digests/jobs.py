"""What digests leave to a worker."""

from datetime import date, timedelta
from uuid import UUID

from doable.core import clock, jobs, post
from doable.core.db import Database
from doable.core.jobs import Run, job, periodic
from doable.core.mail import SEND_SECONDS
from doable.core.pages import Listing
from doable.digests import mails, operations, statements, times
from doable.digests.mails import Item
from doable.digests.operations import Edition
from doable.todos.statements import Filter, TodoRow, todos_by

LATEST = timedelta(hours=12)
"""After that it is missed: it would say the same as the next one."""
FARTHEST = timedelta(days=2)
"""So much later, at most, is the date of an instant where it is latest than where it is earliest."""
_MINE: Listing[TodoRow] = todos_by(TodoRow, Filter(completed=False, due_before=True, assignee="me"), "-due")
_NOBODYS: Listing[TodoRow] = todos_by(TodoRow, Filter(completed=False, due_before=True, assignee="none"), "-due")


@periodic("digests.plan", timedelta(minutes=1))
async def plan(run: Run) -> None:
    planned = operations.AT_ONCE
    while planned == operations.AT_ONCE:
        async with run.tools.db.transaction() as tx:
            editions = await operations.plan(tx, clock.now())
            for edition in editions:
                await jobs.enqueue(tx, send, edition, key=f"digest:{edition.user_id}:{edition.day}")
            planned = len(editions)


@job("digests.send", queue=jobs.BULK, limit=SEND_SECONDS + 10)
async def send(run: Run, edition: Edition | UUID) -> None:
    """Made when it is sent, of what is so then: nothing of it is kept. An id alone is from an earlier version."""
    if isinstance(edition, UUID):
        edition = Edition(edition, run.enqueued_at.date(), run.enqueued_at)
    db, now = run.tools.db, clock.now()
    reader = await db.reads.first(statements.READER, user_id=edition.user_id)
    if reader is None or now - edition.at > LATEST:
        return
    today = times.day_of(now, reader.timezone)
    items = [
        *await _due(db, _MINE, edition.user_id, reader.timezone, today),
        *await _due(db, _NOBODYS, edition.user_id, reader.timezone, today),
    ]
    if items:
        await post.deliver(run, mails.digest(run.tools.settings, reader.email, today, items))


async def _due(db: Database, listing: Listing[TodoRow], user_id: UUID, timezone: str, today: date) -> list[Item]:
    """The latest by `today`, one more than are named. What is due at an instant may have another date where it is."""
    size = mails.MOST + 1
    asked = {"actor_id": user_id, "due_before": (today + timedelta(days=1) + FARTHEST).isoformat(), "page_size": size}
    found: list[Item] = []
    offset, more = 0, True
    while more and len(found) < size:
        rows = await db.reads.all(listing.first, **asked, page_offset=offset)
        found += [item for row in rows if (item := mails.item(row, timezone)) is not None and item.due.date <= today]
        offset, more = offset + size, len(rows) == size
    return found[:size]


JOBS = (plan, send)
