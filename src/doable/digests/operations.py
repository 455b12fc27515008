"""Who gets a digest, and when: chosen, moved along with the person's zone, planned, forgotten."""

from datetime import date, datetime, time
from typing import NamedTuple
from uuid import UUID

from doable.accounts import access as accounts_access
from doable.accounts.access import Actor
from doable.accounts.events import TimezoneChanged, UserDeleted
from doable.core import clock
from doable.core.db import Transaction
from doable.digests import statements, times
from doable.digests.statements import DigestRow

AT_ONCE = 200


class Edition(NamedTuple):
    """The digest of one day, and when it was to be sent."""

    user_id: UUID
    day: date
    at: datetime


async def choose(tx: Transaction, actor: Actor, at: time | None) -> None:
    """Each day at this time from now on, or never."""
    await accounts_access.alive(tx, actor)  # locked, so that it does not move to another zone meanwhile
    if at is None:
        await tx.execute(statements.DELETE, person_id=actor.user_id)
        return
    timezone = await tx.one(statements.TIMEZONE, user_id=actor.user_id)
    next_at = times.after(clock.now(), at, timezone)
    await tx.execute(statements.SET, user_id=actor.user_id, at=at.isoformat("minutes"), next_at=next_at)


async def move(tx: Transaction, fact: TimezoneChanged) -> None:
    """The day of the next one stays: none is left out, and none comes twice. What has come by then is due at once."""
    setting = await tx.first(statements.SETTING, user_id=fact.user_id)
    if setting is not None:
        day = times.day_of(setting.next_at, fact.before)
        next_at = times.on(day, time.fromisoformat(setting.at), fact.timezone)
        await tx.execute(statements.MOVE, person_id=fact.user_id, new_next_at=next_at)


async def forget(tx: Transaction, fact: UserDeleted) -> None:
    await tx.execute(statements.DELETE, person_id=fact.user_id)


async def plan(tx: Transaction, now: datetime) -> list[Edition]:
    """What is to be sent now: some of it, as much as is planned at once; of days that have passed, the last alone."""
    due = await tx.all(statements.DUE, now=now, most=AT_ONCE)
    moved = [
        {"person_id": row.user_id, "new_next_at": times.after(now, time.fromisoformat(row.at), row.timezone)}
        for row in due
    ]
    await tx.many(statements.MOVE, moved)
    return [_edition(row, now) for row in due]


def _edition(row: DigestRow, now: datetime) -> Edition:
    at = times.latest(now, time.fromisoformat(row.at), row.timezone)
    return Edition(row.user_id, times.day_of(at, row.timezone), at)
