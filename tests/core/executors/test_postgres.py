"""PostgreSQL natively: connections are bounded, shared out fairly, looked after, and clean when they come back."""

import asyncio
import random
from collections.abc import AsyncIterator

import pytest
from sqlalchemy import bindparam, func, insert, select, text, update

from doable import runtime
from doable.accounts import endings
from doable.core import db, ids
from doable.core.db import Database
from doable.core.executors import pool
from doable.core.executors.postgres import native, words
from doable.core.queries import Query, Write, query, scalar
from doable.core.streams import streams
from doable.settings import Settings

pytestmark = [
    pytest.mark.parametrize("database_url", ["postgresql"], indirect=True),
    pytest.mark.parametrize(
        "settings",
        [{"executor": "native", "database_pool_size": 4, "database_max_overflow": 2, "database_pool_recycle": 3}],
        indirect=True,
    ),
]

COUNT: Query[int] = query(
    scalar, select(func.count().label("count")).select_from(streams).where(streams.c.id != endings.STREAM)
)
SLEEP: Query[object] = Query(tuple, text("SELECT pg_sleep(:seconds)"))
PID: Query[int] = query(scalar, select(func.pg_backend_pid().label("pid")))
INSERT = insert(streams)
_OTHERS = "FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
OTHERS: Query[tuple[str]] = Query(tuple, text(f"SELECT state {_OTHERS}"))
KILL: Query[object] = Query(tuple, text(f"SELECT pg_terminate_backend(pid) {_OTHERS}"))

SLOW_COMMIT = text(
    "CREATE FUNCTION linger() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(1); RETURN NULL; END'"
)
SLOW_COMMITS = text(
    "CREATE CONSTRAINT TRIGGER lingers AFTER INSERT ON streams DEFERRABLE INITIALLY DEFERRED"
    " FOR EACH ROW EXECUTE FUNCTION linger()"
)


@pytest.fixture
async def database(settings: Settings) -> AsyncIterator[Database]:
    opened = runtime.open_database(settings)
    yield opened
    await opened.close()


@pytest.fixture
async def watcher(settings: Settings) -> AsyncIterator[Database]:
    """Somebody else who looks at the same database."""
    opened = runtime.open_database(settings.model_copy(update={"database_pool_size": 2, "executor": "sqlalchemy"}))
    yield opened
    await opened.close()


async def test_the_settings_bound_both_pools_together(
    database: Database, watcher: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pool, "LINGER", -1.0)
    before = await _connections(watcher)
    work = [_insert(database) for _ in range(40)] + [_sleep(database, 0.02) for _ in range(40)]
    working = asyncio.gather(*work)
    most = 0
    while not working.done():
        most = max(most, await _connections(watcher) - before)
        await asyncio.sleep(0.01)
    await working
    assert 4 < most <= 6
    await asyncio.sleep(0.3)
    assert await _connections(watcher) - before <= 4
    assert database.pool_status() == (4, 0)


async def test_who_waits_too_long_for_a_connection_is_told(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(words, "POOL_WAIT", 1.0)
    database = runtime.open_database(settings)
    sleeping = [asyncio.create_task(_sleep(database, 4)) for _ in range(3)]
    await asyncio.sleep(0.1)
    with pytest.raises(db.Unavailable, match="became free"):
        await database.reads.one(COUNT)
    await _insert(database)  # the writers are others
    for task in sleeping:
        task.cancel()
    await asyncio.gather(*sleeping, return_exceptions=True)
    await database.reads.one(COUNT)
    await database.close()


async def test_connections_that_were_cut_while_idle_are_replaced(database: Database, watcher: Database) -> None:
    for _ in range(3):
        await asyncio.gather(*(database.reads.one(COUNT) for _ in range(3)), _insert(database))
        await watcher.reads.all(KILL)
        await asyncio.sleep(0.2)
        await asyncio.gather(*(database.reads.one(COUNT) for _ in range(3)), _insert(database))
    assert await database.reads.one(COUNT) == 6


async def test_connections_are_kept_while_they_answer_and_renewed_in_time(database: Database) -> None:
    young = await database.reads.one(PID)
    await asyncio.sleep(pool.TRUSTED + 0.1)
    assert await database.reads.one(PID) == young
    await asyncio.sleep(2)
    assert await database.reads.one(PID) != young


async def test_whatever_is_cancelled_leaves_clean_connections(database: Database, watcher: Database) -> None:
    chance = random.Random(6)  # noqa: S311 — repeatable, not secret
    for _ in range(5):
        work = [_insert(database, chance.random() / 50) for _ in range(15)]
        tasks = [asyncio.create_task(one) for one in (*work, *(_sleep(database, 0.01) for _ in range(15)))]
        for task in tasks:
            await asyncio.sleep(chance.random() / 200)
            chance.choice(tasks).cancel()
            del task
        await asyncio.gather(*tasks, return_exceptions=True)
        assert database.pool_status().in_use == 0
        async with asyncio.timeout(10):  # a commit goes on without whoever has asked for it
            while not set(await watcher.reads.all(OTHERS)) <= {("idle",)}:  # noqa: ASYNC110 — nothing tells
                await asyncio.sleep(0.01)
    before = await database.reads.one(COUNT)
    await asyncio.gather(*(_insert(database) for _ in range(10)))
    assert await database.reads.one(COUNT) == before + 10


async def test_a_statement_that_is_cancelled_is_cancelled_on_the_server(database: Database, watcher: Database) -> None:
    pid = await database.reads.one(PID)
    reading = asyncio.create_task(_sleep(database, 60))
    await asyncio.sleep(0.2)
    began = asyncio.get_running_loop().time()
    reading.cancel()
    await asyncio.gather(reading, return_exceptions=True)
    assert asyncio.get_running_loop().time() - began < 3
    assert await database.reads.one(PID) == pid
    assert set(await watcher.reads.all(OTHERS)) <= {("idle",)}


async def test_a_connection_that_can_only_read_is_given_up(database: Database) -> None:
    async with database.transaction() as tx:
        pid = await tx.one(PID)
    with pytest.raises(db.Unavailable):
        async with database.transaction() as tx:
            await tx.execute(text("SET TRANSACTION READ ONLY"))
            await tx.execute(INSERT, id=ids.new_id(), revision=1)
    async with database.transaction() as tx:
        assert await tx.one(PID) != pid


@pytest.mark.parametrize("how", ["at once", "in a transaction"])
async def test_a_commit_that_is_not_waited_for_any_more_is_not_cancelled(
    database: Database, watcher: Database, how: str
) -> None:
    """As it waits for a replica: cancelled, it would be done without one."""
    async with database.transaction() as tx:
        await tx.execute(SLOW_COMMIT)
        await tx.execute(SLOW_COMMITS)
    before = await database.reads.one(COUNT)
    insert_one = Write(INSERT, {"id": ids.new_id(), "revision": 1})
    writing = asyncio.create_task(_at_once(database, insert_one) if how == "at once" else _insert(database))
    async with asyncio.timeout(10):
        while ("active",) not in await watcher.reads.all(OTHERS):  # noqa: ASYNC110 — nothing tells
            await asyncio.sleep(0.01)
    await asyncio.sleep(0.1)
    writing.cancel()
    await asyncio.gather(writing, return_exceptions=True)
    assert writing.cancelled()
    async with asyncio.timeout(10):
        while await database.reads.one(COUNT) == before:  # noqa: ASYNC110 — as above
            await asyncio.sleep(0.01)


async def test_no_answer_is_waited_for_without_end(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    await database.reads.one(PID)
    monkeypatch.setattr(native, "TIMEOUT", 0.3)
    with pytest.raises(db.Unavailable):
        await asyncio.wait_for(_sleep(database, 60), 3)
    with pytest.raises(db.Unavailable):
        async with database.snapshot() as reads:
            await asyncio.wait_for(reads.one(SLEEP, seconds=60), 3)
    monkeypatch.undo()
    assert await database.reads.one(PID)


async def _insert(database: Database, pause: float = 0) -> None:
    async with database.transaction() as tx:
        await tx.execute(INSERT, id=ids.new_id(), revision=1)
        await asyncio.sleep(pause)


async def _sleep(database: Database, seconds: float) -> None:
    await database.reads.one(SLEEP, seconds=seconds)


async def _connections(watcher: Database) -> int:
    return len(await watcher.reads.all(OTHERS))


async def test_a_write_at_once_that_is_not_answered_in_time_has_an_unknown_outcome(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(native, "TIMEOUT", 0.3)  # the server would go on, and may commit after all
    stream_id = ids.new_id()
    write = Write(update(streams).where(streams.c.id == bindparam("one")).values(revision=2), {"one": stream_id})
    async with database.transaction() as tx:
        await tx.execute(INSERT, id=stream_id, revision=1)
    async with database.transaction() as tx:
        await tx.execute(write.statement, **write.params)
        with pytest.raises(db.OutcomeUnknown):
            await asyncio.create_task(_at_once(database, write))


async def _at_once(database: Database, write: Write) -> None:
    async with database.transaction() as tx:
        await tx.at_once(write)
