"""What is of no use any more goes, whether or not its owner comes back."""

import asyncio
import datetime as dt
from uuid import UUID

import httpx2
import pytest
from sqlalchemy import func, select

from doable.accounts import attempts, jobs
from doable.accounts.statements import sessions as statements
from doable.accounts.tables import attempts as attempt_table
from doable.accounts.tables import sessions
from doable.core import clock, housekeeping
from doable.core.db import Database
from doable.core.queries import query, scalar
from tests.support import asgi
from tests.support.accounts import Wait
from tests.support.jobs import run_job
from tests.support.people import API, PASSWORD, Person

SESSIONS = query(scalar, select(func.count().label("count")).select_from(sessions))
ATTEMPTS = query(scalar, select(func.count().label("count")).select_from(attempt_table))


async def test_sessions_that_ended_long_ago_go_and_others_stay(
    ana: Person, bruno: Person, db: Database, running: asgi.Running, wait: Wait
) -> None:
    await ana.post("/auth/logout")
    wait(dt.timedelta(days=29))
    await bruno.client.post(f"{API}/auth/refresh", json={"refresh_token": bruno.tokens["refresh_token"]})
    wait(dt.timedelta(days=2))
    await run_job(running, jobs.sweep)
    assert await db.reads.one(SESSIONS) == 1
    wait(dt.timedelta(days=57))
    await run_job(running, jobs.sweep)
    assert await db.reads.one(SESSIONS) == 1
    wait(dt.timedelta(days=3))
    await run_job(running, jobs.sweep)
    assert await db.reads.one(SESSIONS) == 0


async def test_attempts_are_forgotten_by_several_sweepers_at_once(
    db: Database, running: asgi.Running, wait: Wait, monkeypatch: pytest.MonkeyPatch
) -> None:
    for n in range(20):
        await attempts.count(db, *attempts.login_counters(f"name {n}", "192.0.2.0/24"))
    await run_job(running, jobs.sweep)
    assert await db.reads.one(ATTEMPTS) == 40
    wait(dt.timedelta(days=1, seconds=1))
    monkeypatch.setattr(housekeeping, "AT_ONCE", 7)
    await asyncio.gather(*(run_job(running, jobs.sweep) for _ in range(4)))
    await run_job(running, jobs.sweep)
    assert await db.reads.one(ATTEMPTS) == 0


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
async def test_notes_of_use_and_the_end_of_sessions_do_not_wait_for_each_other(
    ana: Person, client: httpx2.AsyncClient, db: Database
) -> None:
    for _ in range(20):
        await client.post(f"{API}/auth/login", json={"login": "ana", "password": PASSWORD})
    user_id = UUID(ana.user["id"])
    own = sorted(await db.reads.all(query(scalar, select(sessions.c.id))))
    for id_ in reversed(own):  # rows stand otherwise on the disk than in the order of their ids
        async with db.transaction() as tx:
            await tx.many(statements.USE_SESSION, [{"session_id": id_, "at": clock.now()}])

    async def note() -> None:
        for n in range(60):
            at = clock.now() + dt.timedelta(seconds=n)
            async with db.transaction() as tx:
                await tx.many(statements.USE_SESSION, [{"session_id": id_, "at": at} for id_ in own])

    async def end() -> None:
        for _ in range(60):
            with pytest.raises(ZeroDivisionError):
                async with db.transaction() as tx:
                    await tx.execute(statements.END_SESSIONS, owner=user_id, at=clock.now())
                    raise ZeroDivisionError

    await asyncio.gather(note(), end(), end())
