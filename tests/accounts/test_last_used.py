"""What is noted in memory about the use of sessions and tokens, and how it reaches the database."""

import asyncio
import datetime as dt

import httpx2
import pytest
from sqlalchemy import select

from doable.accounts import last_used
from doable.accounts.last_used import LastUsed
from doable.accounts.tables import sessions
from doable.app import create_app
from doable.core import clock
from doable.core.db import Database, Unavailable
from doable.core.queries import query, scalar
from doable.settings import Settings
from tests.support import asgi, people
from tests.support.accounts import Wait
from tests.support.people import API, Person

LAST_USED = query(scalar, select(sessions.c.last_used_at))
SESSION = query(scalar, select(sessions.c.id))
SEEN = query(scalar, select(sessions.c.seen_generation))


@pytest.mark.usefixtures("ana")
async def test_the_use_is_written_every_minute(db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    assert last_used.INTERVAL == 60
    monkeypatch.setattr(last_used, "INTERVAL", 0.05)
    collector = LastUsed(db)
    await collector.start()
    at = clock.now() + dt.timedelta(hours=1)
    collector.touch_session(await db.reads.one(SESSION), at)
    for _ in range(100):
        if await db.reads.one(LAST_USED) == at:
            break
        await asyncio.sleep(0.05)
    assert await db.reads.one(LAST_USED) == at
    await collector.close()


@pytest.mark.usefixtures("ana")
async def test_a_database_that_is_away_does_not_end_the_writing(db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(last_used, "PROMPT", 0.01)
    collector = LastUsed(db)
    await collector.start()
    session_id = await db.reads.one(SESSION)
    transaction = db.transaction

    def away() -> None:
        raise Unavailable

    monkeypatch.setattr(db, "transaction", away)
    collector.see_generation(session_id, 1, clock.now())
    await asyncio.sleep(0.2)
    assert await db.reads.one(SEEN) == 0
    monkeypatch.setattr(db, "transaction", transaction)
    collector.see_generation(session_id, 1, clock.now())
    for _ in range(100):
        if await db.reads.one(SEEN) == 1:
            break
        await asyncio.sleep(0.05)
    assert await db.reads.one(SEEN) == 1
    await collector.close()


async def test_what_was_noted_survives_a_stop(settings: Settings, wait: Wait) -> None:
    async with asgi.Running(create_app(settings)) as running:
        client = httpx2.AsyncClient(transport=asgi.Transport(running), base_url="http://testserver")
        ana = await people.register(client)
        began = await running.state["db"].reads.one(LAST_USED)
        pair = (await client.post(f"{API}/auth/refresh", json={"refresh_token": ana.tokens["refresh_token"]})).json()
        wait(dt.timedelta(minutes=1))
        assert (await Person(client, {}, pair).get("/users/me")).status_code == 200
    async with asgi.Running(create_app(settings)) as running:
        assert await running.state["db"].reads.one(LAST_USED) >= began + dt.timedelta(minutes=1)
        assert await running.state["db"].reads.one(SEEN) == 1
