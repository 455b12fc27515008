"""Real workers, killed at any moment: what was committed is done, and what was not is not."""

import asyncio
import random
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from datetime import timedelta
from pathlib import Path

import httpx2
import pytest
from pydantic import SecretStr
from sqlalchemy import func, select, update

from doable import runtime
from doable.core import clock, post
from doable.core.db import Database
from doable.core.jobs import enqueue
from doable.core.jobs.tables import jobs
from doable.core.mail import Mail
from doable.core.queries import query, scalar
from doable.settings import Settings
from tests.support import configuration, poison, servers
from tests.support.people import API, PASSWORD, register
from tests.support.rooms import Seat

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

ROOT = Path(__file__).parents[2]
MAILS = query(scalar, select(jobs.c.id).where(jobs.c.name == "mail.send"))
UNFINISHED = query(scalar, select(jobs.c.id).where(jobs.c.name == "mail.send", jobs.c.finished_at.is_(None)))
MOST_ATTEMPTS = query(scalar, select(func.max(jobs.c.attempts)).where(jobs.c.name == "mail.send"))
STATES = query(scalar, select(jobs.c.state).where(jobs.c.name == "mail.send").distinct())


class Worker:
    def __init__(self, settings: Settings, folder: Path, number: int, failpoints: str) -> None:
        self.log_path = folder / f"worker-{number}.log"
        with self.log_path.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-c", "import sys; from doable.cli import main; sys.exit(main())", "worker"],
                stdout=log,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                cwd=folder,
                env=servers._bare_environment()
                | configuration.environment(settings)
                | {"DOABLE_FAILPOINTS": failpoints},
            )
        self.wait_for("worker_started")

    def wait_for(self, words: str) -> None:
        deadline = time.monotonic() + 90
        while words not in self.log_path.read_text():
            assert self.process.poll() is None, self.log_path.read_text()
            assert time.monotonic() < deadline, self.log_path.read_text()
            time.sleep(0.02)

    def end(self, how: signal.Signals) -> int:
        self.process.send_signal(signal.SIGCONT)
        self.process.send_signal(how)
        return self.process.wait(60)


@contextmanager
def working(settings: Settings, folder: Path, number: int = 0, failpoints: str = "") -> Iterator[Worker]:
    worker = Worker(settings, folder, number, failpoints)
    try:
        yield worker
    finally:
        if worker.process.poll() is None:
            worker.end(signal.SIGKILL)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "processes"
    made.mkdir()
    return made


async def _write(db: Database, number: int, *, fails: bool) -> None:
    with pytest.raises(ZeroDivisionError) if fails else nullcontext():
        async with db.transaction() as tx:
            await post.write_to(tx, Mail("ana@example.com", f"number {number}", f"text {number}"))
            if fails:
                raise ZeroDivisionError


async def _end_leases(db: Database) -> None:
    """As if so much time had passed."""
    async with db.transaction() as tx:
        await tx.execute(update(jobs).values(run_at=clock.now()).where(jobs.c.state == "running"))


def _sent(settings: Settings) -> dict[str, str]:
    """The number in each mail, by its job."""
    files = (settings.data_dir / "mail").glob("*.eml")
    return {file.stem: re.findall(r"number (\d+)", file.read_text())[0] for file in files}


async def test_what_is_committed_is_done_whenever_workers_die(settings: Settings, folder: Path) -> None:
    chance = random.Random(7)  # noqa: S311 — when workers die is chance enough
    failing = {number for number in range(500) if chance.random() < 0.2}
    db = runtime.open_database(settings)

    async def write_all() -> None:
        for number in range(500):
            await _write(db, number, fails=number in failing)
            await asyncio.sleep(0.015)

    async def kill_often(first: int) -> None:
        for number in range(first, first + 5):
            worker = await asyncio.to_thread(Worker, settings, folder, number, "jobs.before_finish=sleep:0.03")
            await asyncio.sleep(chance.uniform(0.1, 0.6))
            worker.end(signal.SIGKILL)

    writing = asyncio.create_task(write_all())
    await asyncio.gather(kill_often(0), kill_often(10))
    await writing
    await _end_leases(db)
    with working(settings, folder, 99):
        async with asyncio.timeout(60):
            while await db.reads.all(UNFINISHED):  # noqa: ASYNC110 — a row rings no bell
                await asyncio.sleep(0.1)
    assert await db.reads.all(STATES) == ["done"]
    assert await db.reads.one(MOST_ATTEMPTS) > 1, "nobody died of what he did"
    sent = _sent(settings)
    assert set(sent) == {str(job_id) for job_id in await db.reads.all(MAILS)}
    assert sorted(map(int, sent.values())) == sorted(set(range(500)) - failing)
    await db.close()


async def test_a_worker_that_was_frozen_cannot_finish_what_another_has_done(settings: Settings, folder: Path) -> None:
    db = runtime.open_database(settings)
    with working(settings, folder, 1, "jobs.before_finish=sleep:4") as frozen:
        await _write(db, 1, fails=False)
        frozen.wait_for("mail_written")
        frozen.process.send_signal(signal.SIGSTOP)
        await _end_leases(db)
        with working(settings, folder, 2):
            async with asyncio.timeout(30):
                while await db.reads.all(UNFINISHED):  # noqa: ASYNC110 — a row rings no bell
                    await asyncio.sleep(0.1)
        frozen.process.send_signal(signal.SIGCONT)
        frozen.wait_for("job_taken_over")
    assert len(_sent(settings)) == 1, "both have written the same mail"
    await db.close()


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
async def test_a_worker_that_is_told_to_stop_finishes_what_is_nearly_done(
    settings: Settings, folder: Path, how: signal.Signals
) -> None:
    db = runtime.open_database(settings)
    with working(settings, folder, failpoints="jobs.before_finish=sleep:1") as worker:
        await _write(db, 1, fails=False)
        worker.wait_for("mail_written")
        assert await asyncio.to_thread(worker.end, how) == 0
    assert await db.reads.all(STATES) == ["done"]
    await db.close()


async def test_a_worker_that_is_told_to_stop_gives_back_what_hangs(settings: Settings, folder: Path) -> None:
    asked = asyncio.Event()

    async def hang(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.set()
        await reader.read()
        writer.close()

    listener = await asyncio.start_server(hang, "127.0.0.1", 0)
    port = listener.sockets[0].getsockname()[1]
    db = runtime.open_database(settings)
    with working(settings.model_copy(update={"smtp_url": SecretStr(f"smtp://127.0.0.1:{port}")}), folder) as worker:
        await _write(db, 1, fails=False)
        async with asyncio.timeout(30):
            await asked.wait()
        assert await asyncio.to_thread(worker.end, signal.SIGTERM) == 0
    assert await db.reads.all(STATES) == ["waiting"]
    assert await db.reads.one(MOST_ATTEMPTS) == 0, "it counts as never begun"
    listener.close()
    await db.close()


async def _keep_alive(command: list[str], over: asyncio.Event) -> None:
    while not over.is_set():
        process = await asyncio.create_subprocess_exec(*command, cwd=ROOT, stdout=subprocess.DEVNULL)
        ended, told = asyncio.create_task(process.wait()), asyncio.create_task(over.wait())
        await asyncio.wait([ended, told], return_when=asyncio.FIRST_COMPLETED)
        if process.returncode is None:
            process.kill()
        await ended
        told.cancel()


POISONS = ("raises", "hangs", "leaves", "allocates")
OF_POISON = query(scalar, select(jobs.c.state).where(jobs.c.name.in_([f"poison.{name}" for name in POISONS])))


def _worked(ledger: Path) -> set[str]:
    return {line for line in ledger.read_text().splitlines() if line.isdigit()}


async def test_poison_that_takes_the_process_along_is_buried_and_keeps_nobody_waiting(
    settings: Settings, folder: Path
) -> None:
    """Two workers, which somebody starts again when they die. How late others are, tests/core/jobs measures."""
    ledger, over = folder / "ledger", asyncio.Event()
    ledger.touch()
    command = [sys.executable, "-m", "tests.support.poison", settings.database, str(ledger)]
    db = runtime.open_database(settings)
    workers = [asyncio.create_task(_keep_alive(command, over)) for _ in range(2)]
    async with db.transaction() as tx:
        for name in POISONS:
            await enqueue(tx, poison.BY_NAME[name], "")
    count = 0
    async with asyncio.timeout(200):
        while set(await db.reads.all(OF_POISON)) != {"dead"}:
            async with db.transaction() as tx:
                await enqueue(tx, poison.works, count)
            count += 1
            await asyncio.sleep(0.1)
        meanwhile = len(_worked(ledger))
        while len(_worked(ledger)) < count:  # noqa: ASYNC110 — a file rings no bell
            await asyncio.sleep(0.1)
    over.set()
    await asyncio.gather(*workers)
    assert meanwhile > count / 3, "they wait for a worker that is there, and for no poison"
    await db.close()


@pytest.mark.parametrize("settings", [{"embedded_worker": True}], indirect=True)
def test_the_server_sends_mail_by_itself(settings: Settings, folder: Path) -> None:
    form = {"email": "ana@example.com", "username": "ana", "password": PASSWORD, "confirm_password": PASSWORD}
    with servers.serve(settings, folder) as server:
        assert httpx2.post(f"{server.base_url}{API}/users", json=form, trust_env=False).status_code == 201
        deadline = time.monotonic() + 15
        while not list((settings.data_dir / "mail").glob("*.eml")):
            assert time.monotonic() < deadline, server.log
            time.sleep(0.05)
        assert server.stop() == 0


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize("settings", [{"embedded_worker": True}, {}], indirect=True, ids=["helped", "without"])
async def test_what_is_said_in_rooms_is_said_by_the_server_that_has_them(settings: Settings, folder: Path) -> None:
    """A worker beside a server with SQLite, and no Redis between them, reaches nobody."""
    with servers.serve(settings, folder) as server, working(settings, folder):
        async with httpx2.AsyncClient(base_url=server.base_url, trust_env=False, timeout=20) as http:
            ana = await register(http, "ana")
            todo = await ana.todo()
            async with Seat(server, ana.headers, ana.inbox_id) as seat:
                for _ in range(5):
                    soon = clock.iso(clock.now() + timedelta(seconds=1))
                    made = await ana.post(f"/todos/{todo['id']}/reminders", {"at": soon, "channels": ["room"]})
                    assert made.status_code == 201, made.text
                for _ in range(5):
                    assert (await seat.until("message", 20))["message"]["type"] == "reminder"
