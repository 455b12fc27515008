"""A worker that has died is missed at once; one that is paused, stands still or has lost its connection is not."""

import asyncio
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg
import pytest

from doable import runtime
from doable.core.db import Database
from doable.core.jobs import enqueue
from doable.settings import Settings
from tests.support import poison

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]

ROOT = Path(__file__).parents[2]
INNOCENT = 6


class Crew:
    """Processes that work, and the ledger in which their jobs write."""

    def __init__(self, settings: Settings, ledger: Path) -> None:
        self.settings = settings
        self.ledger = ledger
        self.processes: list[asyncio.subprocess.Process] = []
        ledger.touch()

    def lines(self, word: str) -> list[list[str]]:
        return [line.split() for line in self.ledger.read_text().splitlines() if line.startswith(word)]

    async def until(self, met: Callable[[], bool]) -> None:
        async with asyncio.timeout(poison.LONGEST):
            while not met():  # noqa: ASYNC110 — a file rings no bell
                await asyncio.sleep(0.02)

    async def hire(self) -> asyncio.subprocess.Process:
        command = [sys.executable, "-m", "tests.support.poison", self.settings.database, str(self.ledger)]
        started = len(self.lines("starts"))
        process = await asyncio.create_subprocess_exec(*command, cwd=ROOT, stdout=subprocess.DEVNULL)
        self.processes.append(process)
        await self.until(lambda: len(self.lines("starts")) > started)
        return process


@pytest.fixture
async def crew(settings: Settings, tmp_path: Path) -> AsyncIterator[Crew]:
    crew = Crew(settings, tmp_path / "ledger")
    yield crew
    for process in crew.processes:
        if process.returncode is None:
            process.kill()
        await process.wait()


@asynccontextmanager
async def _opened(settings: Settings) -> AsyncIterator[Database]:
    db = runtime.open_database(settings)
    yield db
    await db.close()


async def _enqueue_poison(db: Database) -> None:
    async with db.transaction() as tx:
        for _ in range(INNOCENT):
            await enqueue(tx, poison.stays, 1.0)
        await enqueue(tx, poison.departs, 0.5)


async def test_what_ran_beside_a_job_that_kills_its_process_begins_again_soon(settings: Settings, crew: Crew) -> None:
    """Their leases last a minute; the other worker does not wait for them."""
    async with _opened(settings) as db:
        await crew.hire()
        other = await crew.hire()
        other.send_signal(signal.SIGSTOP)  # until the first has taken all of them
        await _enqueue_poison(db)
        await crew.until(lambda: len(crew.lines("begins")) == INNOCENT)
        other.send_signal(signal.SIGCONT)
        await crew.until(lambda: len(crew.lines("ends")) == INNOCENT)
    ((_, died),) = crew.lines("departs")
    again = sorted(float(at) for _, _, at in crew.lines("begins") if float(at) > float(died))
    assert len(again) == INNOCENT, "they did not run beside it"
    late = [at - float(died) for at in again]
    assert late[-1] < poison.LONGEST / 4, late


async def test_a_worker_that_is_started_again_finds_what_it_has_left(settings: Settings, crew: Crew) -> None:
    async with _opened(settings) as db:
        await (await _die_of_poison(crew, db)).wait()
        began = time.time()
        await crew.hire()
        await crew.until(lambda: len(crew.lines("ends")) == INNOCENT)
    assert time.time() - began < poison.LONGEST / 2


async def _die_of_poison(crew: Crew, db: Database) -> asyncio.subprocess.Process:
    process = await crew.hire()
    await _enqueue_poison(db)
    return process


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
