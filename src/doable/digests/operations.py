"""Who gets a digest, and when: chosen, moved along with the person's zone, planned, forgotten."""

from datetime import datetime, time
from uuid import UUID

from doable.accounts import access as accounts_access
from doable.accounts.access import Actor
from doable.accounts.events import TimezoneChanged, UserDeleted
from doable.core import clock
from doable.core.db import Transaction
from doable.digests import statements, times

AT_ONCE = 200


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
    at = await tx.first(statements.AT, user_id=fact.user_id)
    if at is not None:
        next_at = times.after(clock.now(), time.fromisoformat(at), fact.timezone)
        await tx.execute(statements.MOVE, person_id=fact.user_id, new_next_at=next_at)


async def forget(tx: Transaction, fact: UserDeleted) -> None:
    await tx.execute(statements.DELETE, person_id=fact.user_id)


async def plan(tx: Transaction, now: datetime) -> list[UUID]:
    """Those who are to get one now, and not again before tomorrow: some of them, as many as are planned at once."""
    due = await tx.all(statements.DUE, now=now, most=AT_ONCE)
    moved = [
        {"person_id": row.user_id, "new_next_at": times.after(now, time.fromisoformat(row.at), row.timezone)}
        for row in due
    ]
    await tx.many(statements.MOVE, moved)
    return [row.user_id for row in due]
