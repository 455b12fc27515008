"""A worker that has died is missed at once; one that is paused, stands still or has lost its connection is not."""

import asyncio
import signal
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg
import pytest

from doable import runtime
from doable.core.db import Database
from doable.core.jobs import enqueue
from doable.settings import Settings
from tests.support import crews, poison
from tests.support.crews import Crew

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]


@pytest.fixture
async def crew(settings: Settings, tmp_path: Path) -> AsyncIterator[Crew]:
    async with crews.working(settings.database, tmp_path / "ledger") as working:
        yield working


@asynccontextmanager
async def _opened(settings: Settings) -> AsyncIterator[Database]:
    db = runtime.open_database(settings)
    yield db
    await db.close()


async def test_what_ran_beside_a_job_that_kills_its_process_begins_again_soon(settings: Settings, crew: Crew) -> None:
    """Their leases last a minute; the other worker does not wait for them."""
    async with _opened(settings) as db:
        late = await crews.delays(db, crew)
    assert late[-1] < poison.LONGEST / 4, late


async def test_a_worker_that_is_started_again_finds_what_it_has_left(settings: Settings, crew: Crew) -> None:
    async with _opened(settings) as db:
        process = await crew.hire()
        await crews.enqueue_poison(db)
        await process.wait()
        began = time.time()
        await crew.hire()
        await crew.until(lambda: len(crew.lines("ends")) == crews.INNOCENT)
    assert time.time() - began < poison.LONGEST / 2


@pytest.mark.parametrize("how", ["is paused", "stands still", "has lost its connection"])
async def test_nobody_takes_what_another_still_runs(settings: Settings, crew: Crew, how: str) -> None:
    async with _opened(settings) as db:
        first = await crew.hire()
        async with db.transaction() as tx:
            await enqueue(tx, poison.stays, 2.0)
            if how == "stands still":
                await enqueue(tx, poison.blocks, 4.0)
        await crew.until(lambda: bool(crew.lines("begins")))
        await crew.hire()
        if how == "is paused":
            first.send_signal(signal.SIGSTOP)
            await asyncio.sleep(3)
            first.send_signal(signal.SIGCONT)
        if how == "has lost its connection" and not settings.embedded:
            connection = await asyncpg.connect(settings.database)
            await connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'doable worker'"
            )
            await connection.close()
        await crew.until(lambda: bool(crew.lines("ends")))
    assert len(crew.lines("begins")) == 1
