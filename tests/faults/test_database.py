"""Databases that die, hang, are slow, cut off, held by somebody else or full, while people write."""

import asyncio
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import httpx2
import pytest

from doable.settings import Settings
from tests.support import systems
from tests.support.attacks import Row
from tests.support.faultproxy import BOTH
from tests.support.postgres import Postgres
from tests.support.systems import System, health

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]
STATEMENT = 12.0
"""Seconds: a statement may take five, a connection is waited for for two; and a busy machine."""


async def test_f3_a_back_end_of_postgresql_is_killed(two_workers: System, victim: Postgres, row: Row) -> None:
    async with row.attack("F3 kill -9 of a back end", two_workers) as attack:
        serving = await _back_ends(victim, two_workers.direct_url)
        os.kill(serving[0], signal.SIGKILL)
        await attack.lift()


@pytest.mark.fault
async def test_f4_postgresql_is_killed_and_started_again(two_workers: System, victim: Postgres, row: Row) -> None:
    system, pids = two_workers, two_workers.pids
    async with row.attack("F4 kill -9 of PostgreSQL", system) as attack:
        victim.stop(signal.SIGKILL)
        await systems.eventually(lambda: _status(system), "unavailable", 10)
        assert (await health(system, "/health/live"))[0] == 200
        await asyncio.to_thread(victim.start)
        await attack.lift()
        assert system.pids == pids
    await systems.eventually(lambda: _status(system), "ok", 10)


@pytest.mark.parametrize("how", ["frozen", "black hole"])
@pytest.mark.parametrize("seconds", [pytest.param(9, marks=pytest.mark.fault)])
async def test_f6_postgresql_hangs(two_workers: System, victim: Postgres, row: Row, how: str, seconds: float) -> None:
    system, slow = two_workers, 0.0
    async with row.attack("F6 PostgreSQL hangs", system) as attack:
        attack.slowest = STATEMENT
        _hang(system, victim, how)
        try:
            until = time.monotonic() + seconds
            while time.monotonic() < until:
                status, _, took = await health(system, "/health/live")
                assert status == 200
                slow = max(slow, took)
                await asyncio.sleep(0.1)
            assert await _status(system) == "unavailable"
        finally:
            _go_on(system, victim, how)
        await attack.lift()
        attack.note = f"{how} for {seconds:g} s; /health/live in {slow:.2f} s at most"
        assert slow < 2.0


@pytest.mark.fault
async def test_f7_postgresql_is_slow(two_workers: System, row: Row) -> None:
    async with row.attack("F7 +200 ms each way to PostgreSQL", two_workers, writers=4, hooks=False) as attack:
        attack.slowest = 10.0
        two_workers.database.latency = 0.2
        await asyncio.sleep(8)
        two_workers.database.latency = 0.0
        await attack.lift()


@pytest.mark.fault
async def test_f8_connections_are_cut_at_any_packet(two_workers: System, row: Row) -> None:
    system = two_workers
    async with row.attack("F8 reset at the n-th packet", system) as attack:
        for n in range(1, 61):
            system.database.countdown = n
            await systems.wait_until(lambda: system.database.countdown is None)
            await attack.lift()
        attack.note = "60 resets, n = 1 to 60"


@pytest.mark.fault
async def test_f9_there_are_more_requests_than_connections(
    postgres_settings: Settings, victim: Postgres, row: Row, tmp_path: Path
) -> None:
    few = postgres_settings.model_copy(update={"database_pool_size": 4, "database_max_overflow": 0})
    async with (
        systems.shared(few, tmp_path, victim) as system,
        row.attack("F9 200 slow requests on 4 connections", system, writers=2, hooks=False) as attack,
    ):
        attack.slowest = STATEMENT
        system.database.latency = 0.4
        answers = await _storm(attack.ledger.person.headers, system.base_url, 200, random.Random(row.seed))  # noqa: S311
        system.database.latency = 0.0
        await attack.lift()
        assert set(answers) <= {200, 503, None}, answers
        assert answers[503], answers
        attack.note = f"{answers[200]} answered, {answers[503]} refused with 503, {answers[None]} gave up"


async def _storm(headers: dict[str, str], base_url: str, count: int, chance: random.Random) -> Counter[int | None]:
    """Reads at once; some of the clients leave. Meanwhile the process says that it is alive."""
    limits = httpx2.Limits(max_connections=None)
    async with httpx2.AsyncClient(
        base_url=base_url, headers=headers, limits=limits, timeout=20, trust_env=False
    ) as client:

        async def ask() -> int | None:
            began = time.monotonic()
            try:
                async with asyncio.timeout(chance.choice([0.3, 20, 20, 20])):
                    answer = await client.get("/api/v1/todos")
            except TimeoutError:
                return None
            assert answer.status_code != 503 or "retry-after" in answer.headers
            assert time.monotonic() - began < STATEMENT
            return answer.status_code

        asking = [asyncio.create_task(ask()) for _ in range(count)]
        while not all(task.done() for task in asking):
            assert (await client.get("/health/live")).elapsed.total_seconds() < STATEMENT
            await asyncio.sleep(0.2)
        return Counter(task.result() for task in asking)


@pytest.mark.fault
async def test_f10_another_process_holds_the_lock_of_sqlite(one_process: System, row: Row) -> None:
    system, reads = one_process, []
    async with row.attack("F10 SQLite is locked for 8 s", system, writers=50, pause=0.5) as attack:
        attack.slowest = STATEMENT
        with _locked(system.settings.database.removeprefix("sqlite:///")):
            until = time.monotonic() + 8
            while time.monotonic() < until:
                began = time.monotonic()
                answer = await attack.ledger.send("GET", "/todos?size=1", None, {})
                assert answer is not None
                assert answer.status_code == 200
                reads.append(time.monotonic() - began)
                await asyncio.sleep(0.1)
        await attack.lift()
        attack.note = f"50 writers; reads took {max(reads):.2f} s at most"
        assert max(reads) < 2.0


@pytest.mark.fault
@pytest.mark.parametrize("how", ["disk", "limit"])
async def test_f16_the_disk_is_full_and_then_it_is_not(
    sqlite_template: Path, sqlite_settings: Settings, tmp_path: Path, row: Row, how: str
) -> None:
    with _small_disk(tmp_path / "small", how) as folder:
        shutil.copyfile(sqlite_template, folder / "doable.db")
        settings = sqlite_settings.model_copy(update={"database_url": f"sqlite:///{folder / 'doable.db'}"})
        async with systems.embedded(settings, tmp_path) as system:
            async with row.attack("F16 disk full", system, hooks=False) as attack:
                free = _fill(system, folder, how)
                await systems.wait_until(lambda: attack.ledger.statuses()[503] + attack.ledger.statuses()[507] >= 5, 60)
                answer = await attack.ledger.send("GET", "/todos?size=1", None, {})
                assert answer is not None
                assert answer.status_code == 200
                free()
                await attack.lift()
                attack.note = {"disk": "tmpfs of 8 MB", "limit": "RLIMIT_FSIZE"}[how]
            with closing(sqlite3.connect(folder / "doable.db")) as connection:
                assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)


@contextmanager
def _small_disk(folder: Path, how: str) -> Iterator[Path]:
    folder.mkdir()
    if how == "limit":
        yield folder
        return
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", folder], check=False, capture_output=True
    )
    if mounted.returncode:
        pytest.skip("a disk of its own can be mounted by root alone")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", folder], check=True)


def _fill(system: System, folder: Path, how: str) -> Callable[[], None]:
    """No byte more can be written, until what is returned is called."""
    if how == "limit":
        log = folder / "doable.db-wal"
        subprocess.run(
            ["prlimit", f"--fsize={max(4096, log.stat().st_size)}:unlimited", "--pid", str(system.server.pid)],
            check=True,
        )
        return lambda: subprocess.run(
            ["prlimit", "--fsize=unlimited:unlimited", "--pid", str(system.server.pid)], check=True
        ).check_returncode()
    ballast = folder / "ballast"
    with ballast.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(b"x" * 4096)
        except OSError:
            pass
    return ballast.unlink


@contextmanager
def _locked(file: str) -> Iterator[None]:
    with closing(sqlite3.connect(file, isolation_level=None)) as connection:
        connection.execute("PRAGMA busy_timeout=5000")
        connection.execute("BEGIN IMMEDIATE")
        yield
        connection.execute("ROLLBACK")


def _hang(system: System, victim: Postgres, how: str) -> None:
    if how == "frozen":
        systems.freeze(victim.pid, signal.SIGSTOP)
    else:
        system.database.swallows = BOTH


def _go_on(system: System, victim: Postgres, how: str) -> None:
    if how == "frozen":
        systems.freeze(victim.pid, signal.SIGCONT)
    else:
        system.database.swallows = frozenset()


async def _status(system: System) -> str:
    return (await health(system))[1]


async def _back_ends(victim: Postgres, url: str) -> list[int]:
    """The processes that serve connections to this database."""
    name = url.rpartition("/")[2]
    children = Path(f"/proc/{victim.pid}/task/{victim.pid}/children").read_text().split()
    return [int(pid) for pid in children if name in Path(f"/proc/{pid}/cmdline").read_text()]
