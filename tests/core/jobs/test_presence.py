"""Under which number a worker is alive, and for whom."""

import asyncio

import pytest

from doable.core.db import Database
from doable.core.jobs import presence
from doable.runtime import presence_in
from doable.settings import Settings
from tests.support import waiting
from tests.support.postgres import Postgres

postgresql_only = pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)


async def test_whoever_ends_is_gone_for_others_and_never_for_himself(settings: Settings, db: Database) -> None:
    one, other = presence_in(db, settings), presence_in(db, settings)
    await one.start()
    await other.start()
    number = one.number
    assert number is not None
    assert await other.gone({number}) == set()
    await one.close()
    async with asyncio.timeout(10):
        while await other.gone({number}) != {number}:  # noqa: ASYNC110 — the server hears of it later
            await asyncio.sleep(0.02)
    if not settings.embedded:  # who has lost his connection does not take what he runs himself
        assert await one.gone({number}) == set()
    await other.close()


@postgresql_only
async def test_a_number_outlives_the_connection_that_holds_it(
    settings: Settings, db: Database, postgres: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other = presence_in(db, settings), presence_in(db, settings)
    await one.start()
    number = one.number
    assert number is not None
    monkeypatch.setattr(presence, "RETRY_SECONDS", 1.0)
    postgres.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'doable worker'",
        settings.database.rpartition("/")[2],
    )
    await waiting.until(lambda: one.number is None)
    await waiting.until(lambda: one.number is not None)
    assert one.number == number
    assert await other.gone({number}) == set()
    await one.close()
