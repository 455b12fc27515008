"""What the log costs a write: a todo gets another title with its event and without, by operation and by request.

`python -m bench.event_log [--seconds 0.7] [--rounds 15] [--folder FOLDER] [--write]`: both take turns in every round;
what is printed, or written into `docs/performance.md`, is the least that each has cost. It is CPU, of the server and of
the database together, because a clock on the wall tells more of the disk and of what else runs.
"""

import argparse
import asyncio
import itertools
import os
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from unittest import mock
from uuid import UUID

import httpx2
import uvloop

from bench import report
from doable import migrations
from doable.accounts.access import Actor
from doable.app import create_app
from doable.core import events as log
from doable.core import telemetry
from doable.core.db import Database
from doable.core.events import Event
from doable.settings import Settings
from doable.todos import events
from doable.todos.operations import editing
from tests.support import asgi, configuration, people
from tests.support.people import Person
from tests.support.postgres import Postgres

LISTS = 16
"""Each has a writer of its own, so that nobody waits for a list."""

type Write = Callable[[int], Awaitable[object]]


async def main() -> None:
    options = _options()
    rows = []
    with (
        Postgres() as server,
        server.fresh() as postgres,
        tempfile.TemporaryDirectory(dir=options.folder) as folder,
    ):
        for name, url, pid in (
            ("SQLite", f"sqlite:///{Path(folder) / 'bench.db'}", None),
            ("PostgreSQL", postgres, server.pid),
        ):
            await migrations.migrate(url)
            async with asgi.Running(create_app(configuration.make_settings(url, Path(folder)))) as running:
                rows += [f"| {name} {row}" async for row in _rows(running, options, pid)]
    text = "\n".join(
        [
            f"{report.machine()}; {LISTS} writers, each in a list of its own; PostgreSQL without fsync.",
            "",
            "| A write by | CPU, µs | without its event | ratio |",
            "|---|--:|--:|--:|",
            *rows,
        ]
    )
    print(text)
    if options.write:
        report.write("event_log", text)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=0.7)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--folder", type=Path, default=Path.cwd())
    parser.add_argument("--write", action="store_true")
    return parser.parse_args()


async def _rows(running: asgi.Running, options: argparse.Namespace, database: int | None) -> AsyncIterator[str]:
    transport = asgi.Transport(running)
    async with httpx2.AsyncClient(transport=transport, base_url="http://testserver") as client:
        ana = await people.register(client, "ana")
        homes = [(await ana.list(f"List {n}"))["id"] for n in range(LISTS)]
        todo_ids = [UUID((await ana.todo(list_id=home))["id"]) for home in homes]
        for what, write in (("operation", _operation(running, ana, todo_ids)), ("request", _request(ana, todo_ids))):
            whole, bare = await _compare(write, options, database)
            yield f"{what} | {whole:.0f} | {bare:.0f} | {whole / bare:.2f} |"


def _operation(running: asgi.Running, ana: Person, todo_ids: list[UUID]) -> Write:
    database: Database = running.state["db"]
    user_id, inbox_id = UUID(ana.user["id"]), UUID(ana.inbox_id)
    actor = Actor(user_id, "ana", False, "UTC", inbox_id, None, None, None)  # noqa: FBT003
    numbers = itertools.count()

    async def write(n: int) -> None:
        async with database.transaction() as tx:
            await editing.update(tx, actor, todo_ids[n], {"title": f"title {next(numbers)}"}, None)

    return write


def _request(ana: Person, todo_ids: list[UUID]) -> Write:
    numbers = itertools.count()

    async def write(n: int) -> None:
        answer = await ana.patch(f"/todos/{todo_ids[n]}", {"title": f"name {next(numbers)}"})
        assert answer.is_success, answer.text

    return write


@contextmanager
def _without_events() -> Iterator[None]:
    """The revision is raised still: it is the list's lock, and its ETag."""

    async def append(*_: object) -> None:
        pass

    def changed(*_: object) -> Event:
        return Event("todo.updated", "")

    with mock.patch.object(log, "append", append), mock.patch.object(events, "changed", changed):
        yield


async def _compare(write: Write, options: argparse.Namespace, database: int | None) -> tuple[float, float]:
    """Microseconds with its event, and without."""
    whole, bare = [], []
    await _run(write, 0.2, database)
    for _ in range(options.rounds):
        whole.append(await _run(write, options.seconds, database))
        with _without_events():
            bare.append(await _run(write, options.seconds, database))
    return min(whole), min(bare)


async def _run(write: Write, seconds: float, database: int | None) -> float:
    count = 0
    until, used = time.perf_counter() + seconds, _used(database)

    async def repeat(n: int) -> None:
        nonlocal count
        while time.perf_counter() < until:
            await write(n)
            count += 1

    await asyncio.gather(*(repeat(n) for n in range(LISTS)))
    return (_used(database) - used) / count * 1e6


def _used(database: int | None) -> float:
    """Seconds of CPU, of this process and of the back ends below the PostgreSQL with this number."""
    ticks = 0
    if database is not None:
        ticks += sum(_ticks(database)[2:])  # of those that have ended
        for pid in Path(f"/proc/{database}/task/{database}/children").read_text().split():
            with suppress(FileNotFoundError, ProcessLookupError):
                ticks += sum(_ticks(int(pid)))
    return time.process_time() + ticks / os.sysconf("SC_CLK_TCK")


def _ticks(pid: int) -> list[int]:
    """Of a process, as a user and in the system, then of its children that have ended."""
    return list(map(int, Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:15]))


if __name__ == "__main__":
    with Path(os.devnull).open("w", encoding="utf-8") as nowhere:
        telemetry.configure(Settings(_env_file=None, log_format="json"), nowhere)
        uvloop.run(main())
