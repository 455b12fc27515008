"""SQLite's writers share commits: none hears of success before it is on the disk, none pays for another's failure."""

import asyncio
import os
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path
from uuid import UUID

import pytest
from sqlalchemy import bindparam, func, insert, select, text

from doable import runtime
from doable.accounts import endings
from doable.core import clock, db, ids
from doable.core.db import Database
from doable.core.events import events
from doable.core.executors.sqlite import commits, upkeep, words
from doable.core.executors.sqlite.native import Sqlite
from doable.core.queries import Query, query, scalar
from doable.core.streams import streams
from doable.lists.tables import members
from doable.settings import Settings

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)

COUNT: Query[int] = query(
    scalar, select(func.count().label("count")).select_from(streams).where(streams.c.id != endings.STREAM)
)
INSERT = insert(streams)
THERE: Query[UUID] = query(scalar, select(streams.c.id).where(streams.c.id == bindparam("stream_id")))
INSERT_EVENT = insert(events)
WRITERS = 32
EVENT_BYTES = 8192
_WRITE_FOR_EVER = """
import asyncio, sys
from pathlib import Path
from doable import runtime
from doable.core import ids
from tests.core.executors.test_shared_commits import _insert
from tests.support.configuration import make_settings

async def write(database):
    while True:
        stream_id = ids.new_id()
        await _insert(database, stream_id)
        print(stream_id, flush=True)

async def main():
    database = runtime.open_database(make_settings(sys.argv[1], Path("unused")))
    await asyncio.gather(*(write(database) for _ in range(32)))

asyncio.run(main())
"""


@pytest.fixture
async def database(settings: Settings) -> AsyncIterator[Database]:
    opened = runtime.open_database(settings.model_copy(update={"executor": "native"}))
    yield opened
    await opened.close()


@pytest.fixture
async def committed(database: Database) -> list[str]:
    """The COMMITs that SQLite itself has seen."""
    seen: list[str] = []
    await _insert(database, ids.new_id())
    executor = database.executor
    assert isinstance(executor, Sqlite)
    assert executor._writer is not None
    worker = executor._writer._worker
    await worker.call(
        lambda connection: connection.set_trace_callback(lambda sql: seen.append(sql) if sql == "COMMIT" else None)
    )
    return seen


async def test_who_writes_at_once_shares_a_commit(database: Database, committed: list[str]) -> None:
    made = [ids.new_id() for _ in range(WRITERS)]
    await asyncio.gather(*(_insert(database, id_) for id_ in made))
    assert [await database.reads.one(THERE, stream_id=id_) for id_ in made] == made
    assert 1 <= len(committed) <= WRITERS / 2


async def test_nobody_returns_before_the_commit_that_others_have_joined(
    database: Database, committed: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(commits, "LONGEST", 30.0)
    first = ids.new_id()
    before = await _turn(database)
    writing = asyncio.create_task(_insert(database, first))
    after = Turn(database)
    await asyncio.sleep(0)
    before.end.set()
    await after.inside.wait()
    await asyncio.sleep(0.05)
    assert (writing.done(), before.task.done(), committed) == (False, False, [])
    assert await database.reads.first(THERE, stream_id=first) is None
    assert await _ended(after, writing, before.task) == [None] * 3
    assert committed == ["COMMIT"]
    assert await database.reads.first(THERE, stream_id=first) == first


async def test_a_failure_is_the_members_own(database: Database, committed: list[str]) -> None:
    made = [ids.new_id() for _ in range(10)]
    turn = await _turn(database)
    writing = [asyncio.create_task(_insert(database, id_)) for id_ in made]
    failing = [
        asyncio.create_task(_insert(database, made[0])),
        asyncio.create_task(_insert(database, ids.new_id(), error=ZeroDivisionError())),
    ]
    more = [asyncio.create_task(_insert(database, ids.new_id())) for _ in range(10)]
    outcomes = await _ended(turn, *writing, *failing, *more)
    assert list(map(type, outcomes[11:13])) == [db.UniqueViolation, ZeroDivisionError]
    assert outcomes[:11] + outcomes[13:] == [None] * 21
    assert await database.reads.one(COUNT) == 22  # the turn's, and the first that opened the writer
    assert len(committed) < 10


async def test_a_commit_that_fails_is_everybodys_failure(
    database: Database, committed: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(commits, "LONGEST", 30.0)
    before = await database.reads.one(COUNT)

    async def break_the_commit() -> None:
        async with database.transaction() as tx:
            await tx.all(Query(tuple, text("PRAGMA defer_foreign_keys=ON")))
            await tx.execute(
                insert(members), list_id=ids.new_id(), user_id=ids.new_id(), role="owner", joined_at=clock.now()
            )

    turn = await _turn(database)
    tasks = [
        asyncio.create_task(_insert(database, ids.new_id())),
        asyncio.create_task(_insert(database, ids.new_id(), error=ZeroDivisionError())),
        asyncio.create_task(break_the_commit()),
        asyncio.create_task(_insert(database, ids.new_id())),
    ]
    outcomes = await _ended(turn, *tasks)
    # The second was refused for what it had read, which has never been.
    assert list(map(type, outcomes)) == [db.Unavailable] * 5
    assert await database.reads.one(COUNT) == before
    assert database.pool_status().in_use == 0
    await _insert(database, ids.new_id())
    assert committed[-1] == "COMMIT"


async def test_a_full_disk_takes_along_only_what_is_not_there(database: Database, committed: list[str]) -> None:
    del committed
    async with database.transaction() as tx:
        (pages,) = await tx.one(Query(tuple, text("PRAGMA page_count")))
        await tx.one(Query(tuple, text(f"PRAGMA max_page_count={pages + 8}")))
    made = [ids.new_id() for _ in range(3)]

    async def fill() -> None:
        async with database.transaction() as tx:
            await tx.many(INSERT, [{"id": ids.new_id(), "revision": n} for n in range(20_000)])

    turn = await _turn(database)
    filling = asyncio.create_task(_insert(database, made[0])), asyncio.create_task(fill())
    others = [asyncio.create_task(_insert(database, id_)) for id_ in made[1:]]
    _, first, full, *rest = await _ended(turn, *filling, *others)
    assert isinstance(full, db.Unavailable)
    for id_, outcome in zip(made, (first, *rest), strict=True):
        there = await database.reads.first(THERE, stream_id=id_) is not None
        assert there == (outcome is None), outcome
        assert outcome is None or isinstance(outcome, db.Unavailable)


async def test_who_waits_too_long_for_the_writer_is_told(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(commits, "WRITER_WAIT", 0.1)
    turn = await _turn(database)
    with pytest.raises(db.Unavailable):
        await _insert(database, ids.new_id())
    assert await _ended(turn) == [None]
    await _insert(database, ids.new_id())


def test_who_has_waited_for_the_turn_does_not_wait_as_long_again_for_another_process(database_url: str) -> None:
    file = database_url.removeprefix("sqlite:///")
    with (
        closing(sqlite3.connect(file, isolation_level=None)) as other,
        closing(sqlite3.connect(file, isolation_level=None, timeout=words.WRITER_WAIT)) as connection,
    ):
        other.execute("BEGIN IMMEDIATE")
        began = clock.monotonic()
        with pytest.raises(sqlite3.OperationalError, match="locked"):
            commits.Part(until=began).run(lambda _: None, connection)
        assert clock.monotonic() - began < words.WRITER_WAIT / 2
        assert connection.execute("PRAGMA busy_timeout").fetchone() == (words.WRITER_WAIT * 1000,)


async def test_the_log_stays_short_while_everybody_writes(
    database: Database, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(upkeep, "INTERVAL", 0.02)
    monkeypatch.setattr(upkeep, "LONG", 256)
    log = Path(f"{database_url.removeprefix('sqlite:///')}-wal")
    lengths: list[int] = []

    async def write() -> None:
        for _ in range(40):
            async with database.transaction() as tx:
                await tx.many(INSERT_EVENT, [_event(n) for n in range(20)])
            lengths.append(log.stat().st_size)

    await asyncio.gather(*(write() for _ in range(8)))
    assert max(lengths) < len(lengths) * 20 * EVENT_BYTES * 2 / 3


async def test_a_read_that_is_cancelled_ends(database: Database) -> None:
    endless = text("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n")
    reading = asyncio.create_task(database.reads.one(Query(tuple, endless)))
    await asyncio.sleep(0.2)
    reading.cancel()
    async with asyncio.timeout(10):
        await asyncio.gather(reading, return_exceptions=True)
    assert reading.cancelled()
    assert database.pool_status().in_use == 0


def test_what_was_acknowledged_survives_a_kill(database_url: str) -> None:
    program = [sys.executable, "-c", _WRITE_FOR_EVER, database_url]
    with subprocess.Popen(program, stdout=subprocess.PIPE, env={**os.environ, "PYTHONPATH": "."}) as process:
        assert process.stdout is not None
        acknowledged = [process.stdout.readline() for _ in range(500)]
        process.kill()
        acknowledged += process.stdout.readlines()
    with closing(sqlite3.connect(database_url.removeprefix("sqlite:///"))) as connection:
        there = {UUID(bytes=id_) for (id_,) in connection.execute("SELECT id FROM streams")}
    complete = {UUID(line.decode().strip()) for line in acknowledged if line.endswith(b"\n")}
    assert len(complete) >= 500
    assert complete <= there


class Turn:
    """A transaction that takes its turn with the writer, and keeps it until `end` is set."""

    def __init__(self, database: Database) -> None:
        self.inside, self.end = asyncio.Event(), asyncio.Event()
        self.task = asyncio.create_task(self._hold(database))

    async def _hold(self, database: Database) -> None:
        async with database.transaction() as tx:
            await tx.execute(INSERT, id=ids.new_id(), revision=1)
            self.inside.set()
            await self.end.wait()


async def _turn(database: Database) -> Turn:
    turn = Turn(database)
    await turn.inside.wait()
    return turn


async def _insert(database: Database, stream_id: UUID, error: Exception | None = None) -> None:
    async with database.transaction() as tx:
        await tx.execute(INSERT, id=stream_id, revision=1)
        if error is not None:
            raise error


async def _ended(turn: Turn, *tasks: asyncio.Task[None]) -> list[BaseException | None]:
    """How those end who have joined the turn."""
    await asyncio.sleep(0)
    turn.end.set()
    return await asyncio.gather(turn.task, *tasks, return_exceptions=True)


def _event(number: int) -> dict[str, object]:
    return {
        "stream_id": ids.new_id(),
        "revision": number,
        "operation_id": ids.new_id(),
        "at": clock.now(),
        "actor_id": None,
        "kind": "todo.created",
        "subject_id": None,
        "data": "x" * EVENT_BYTES,
    }
