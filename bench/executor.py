"""What a statement costs: CPU of this process by the driver alone, natively and through SQLAlchemy; durable writes/s.

`python -m bench.executor [--seconds 1] [--rounds 5] [--folder FOLDER]`: ways take turns in every round, medians are
printed. FOLDER has to be on a real disk; in memory nothing is durable and an fsync is free.
"""

import argparse
import asyncio
import sqlite3
import statistics
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, NamedTuple
from uuid import UUID

import asyncpg
import httpx2
import uvloop

from doable import migrations, runtime
from doable.app import create_app
from doable.core import clock, events, ids, streams
from doable.core.db import Database
from doable.core.executors.postgres.native import Postgres as NativePostgres
from doable.core.executors.sqlite.native import Sqlite as NativeSqlite
from doable.core.queries import Query
from doable.settings import Settings
from doable.todos.shapes import from_columns
from doable.todos.statements import TODO, Filter, todos_by
from tests.support import asgi, configuration, people
from tests.support.postgres import Postgres

TASKS = 16
WRITERS = 32
TODOS = 200
PAGE = todos_by(from_columns, Filter(list_id=True), "position").counted

type Work = Callable[[], Awaitable[object]]


class World(NamedTuple):
    user_id: UUID
    list_id: UUID
    todo_ids: list[UUID]

    def one(self) -> dict[str, object]:
        return {"actor_id": self.user_id, "todo_id": self.todo_ids[0]}

    def page(self) -> dict[str, object]:
        return {"actor_id": self.user_id, "list_ids": [self.list_id], "page_size": 20, "page_offset": 0}


class Way(NamedTuple):
    name: str
    work: Work
    tasks: int


class Sample(NamedTuple):
    microseconds: float
    rate: float
    p99: float


async def main() -> None:
    options = _options()
    with Postgres() as server, server.fresh() as postgres, tempfile.TemporaryDirectory(dir=options.folder) as folder:
        for url in (postgres, f"sqlite:///{Path(folder) / 'bench.db'}"):
            await migrations.migrate(url)
            settings = configuration.make_settings(url, Path(folder))
            world = await _populate(settings)
            async with AsyncExitStack() as stack:
                ways = [way async for way in _ways(stack, settings, world)]
                print(f"\n{url.partition(':')[0]:34}{'CPU µs':>10}{'least':>10}{'a second':>10}{'p99 ms':>10}")
                await _compare(ways, options)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=1.0)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--folder", type=Path, default=Path.cwd())
    return parser.parse_args()


async def _populate(settings: Settings) -> World:
    async with asgi.Running(create_app(settings)) as running:
        transport = asgi.Transport(running)
        async with httpx2.AsyncClient(transport=transport, base_url="http://testserver") as client:
            ana = await people.register(client, "ana")
            home = await ana.list()
            todos = [await ana.todo(f"Todo number {n}", list_id=home["id"]) for n in range(TODOS)]
    return World(UUID(ana.user["id"]), UUID(home["id"]), [UUID(todo["id"]) for todo in todos])


async def _ways(stack: AsyncExitStack, settings: Settings, world: World) -> AsyncIterator[Way]:
    databases = {}
    for name in ("native", "sqlalchemy"):
        database = runtime.open_database(settings.model_copy(update={"executor": name}))
        stack.push_async_callback(database.close)
        databases[name] = database
    executor = databases["native"].executor
    assert isinstance(executor, NativePostgres | NativeSqlite)
    for what, question, params in (("one todo", TODO, world.one()), ("a page of 20", PAGE, world.page())):
        sql, args = executor.plans.of_rows(question.statement, params).bind(params)
        yield Way(f"{what}, driver alone", await _bare(stack, settings, sql, args), TASKS)
        for name, database in databases.items():
            yield Way(f"{what}, {name}", _reading(database, question, params), TASKS)
    for tasks in (TASKS,) if not settings.embedded else (1, WRITERS):
        for name, database in databases.items():
            yield Way(f"a write of {tasks}, {name}", _writing(database, world), tasks)


def _reading(database: Database, question: Query[Any], params: dict[str, object]) -> Work:
    return lambda: database.reads.all(question, **params)


def _writing(database: Database, world: World) -> Work:
    """As a request writes, to a list of its own each time but one: the stream, an event, the commit."""

    async def write() -> None:
        async with database.transaction() as tx:
            stream = ids.new_id()
            await streams.open_stream(tx, stream, 0)
            revision = await streams.bump(tx, stream)
            cause = events.operation(world.user_id, clock.now())
            await events.append(tx, stream, revision, cause, events.Event("todo.created", '{"todo": null}'))

    return write


async def _bare(stack: AsyncExitStack, settings: Settings, sql: str, args: Sequence[object]) -> Work:
    """One connection each, no pool, no shape."""
    if settings.embedded:
        connection = sqlite3.connect(settings.database.removeprefix("sqlite:///"), cached_statements=512)
        stack.callback(connection.close)

        async def inline() -> object:
            await asyncio.sleep(0)
            return connection.execute(sql, args).fetchall()

        return inline
    idle = [await asyncpg.connect(settings.database) for _ in range(TASKS)]
    for opened in idle:
        stack.push_async_callback(opened.close)

    async def fetch() -> object:
        connection = idle.pop()
        try:
            return await connection.fetch(sql, *args)
        finally:
            idle.append(connection)

    return fetch


async def _compare(ways: Sequence[Way], options: argparse.Namespace) -> None:
    samples: dict[str, list[Sample]] = {way.name: [] for way in ways}
    for way in ways:
        await _run(way, 0.1)
    for _ in range(options.rounds):
        for way in ways:
            samples[way.name].append(await _run(way, options.seconds))
    for name, taken in samples.items():
        median = Sample(*(statistics.median(values) for values in zip(*taken, strict=True)))
        least = min(sample.microseconds for sample in taken)
        print(f"{name:34}{median.microseconds:10.0f}{least:10.0f}{median.rate:10.0f}{median.p99 * 1000:10.1f}")


async def _run(way: Way, seconds: float) -> Sample:
    times: list[float] = []
    began, used = time.perf_counter(), time.process_time()

    async def repeat() -> None:
        while (start := time.perf_counter()) < began + seconds:
            await way.work()
            times.append(time.perf_counter() - start)

    await asyncio.gather(*(repeat() for _ in range(way.tasks)))
    elapsed, used = time.perf_counter() - began, time.process_time() - used
    return Sample(used / len(times) * 1e6, len(times) / elapsed, sorted(times)[int(len(times) * 0.99)])


if __name__ == "__main__":
    uvloop.run(main())
