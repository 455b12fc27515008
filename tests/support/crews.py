"""Worker processes that die, and how soon others do what they have left."""

import asyncio
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from doable.core.db import Database
from doable.core.jobs import enqueue
from tests.support import poison

ROOT = Path(__file__).parents[2]
INNOCENT = 6


class Crew:
    """Processes that work, and the ledger in which their jobs write."""

    def __init__(self, database_url: str, ledger: Path) -> None:
        self._database_url = database_url
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
        command = [sys.executable, "-m", "tests.support.poison", self._database_url, str(self.ledger)]
        started = len(self.lines("starts"))
        process = await asyncio.create_subprocess_exec(*command, cwd=ROOT, stdout=subprocess.DEVNULL)
        self.processes.append(process)
        await self.until(lambda: len(self.lines("starts")) > started)
        return process


@asynccontextmanager
async def working(database_url: str, ledger: Path) -> AsyncIterator[Crew]:
    crew = Crew(database_url, ledger)
    try:
        yield crew
    finally:
        await kill(crew.processes)


async def kill(processes: list[asyncio.subprocess.Process]) -> None:
    """Those that have not ended."""
    for process in processes:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def enqueue_poison(db: Database) -> None:
    """Some jobs of a second, and one that after half of it kills the process."""
    async with db.transaction() as tx:
        for _ in range(INNOCENT):
            await enqueue(tx, poison.stays, 1.0)
        await enqueue(tx, poison.departs, 0.5)


async def delays(db: Database, crew: Crew) -> list[float]:
    """Seconds from the death of a worker until each of the jobs that ran beside the poison is begun by another."""
    await crew.hire()
    other = await crew.hire()
    other.send_signal(signal.SIGSTOP)  # until the first has taken all of them
    await enqueue_poison(db)
    await crew.until(lambda: len(crew.lines("begins")) == INNOCENT)
    other.send_signal(signal.SIGCONT)
    await crew.until(lambda: len(crew.lines("ends")) == INNOCENT)
    ((_, died),) = crew.lines("departs")
    again = sorted(float(at) for _, _, at in crew.lines("begins") if float(at) > float(died))
    assert len(again) == INNOCENT, "they did not run beside it"
    return [at - float(died) for at in again]
