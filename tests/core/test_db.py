"""The three doors of the database: what each may do, and what is left behind when something fails."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from typing import NamedTuple
from uuid import UUID

import pytest
from sqlalchemy import Integer, bindparam, func, insert, select, text, update

from doable import runtime
from doable.accounts import endings
from doable.core import db, failpoints, ids, transactions
from doable.core.db import Database
from doable.core.errors import AppException, not_found
from doable.core.executors.postgres.native import Postgres
from doable.core.faults import Unreachable
from doable.core.queries import Query, Write, query, scalar
from doable.core.streams import Seen, advance, bump, open_stream, streams
from doable.core.tables import metadata
from doable.settings import Settings
from tests.support import configuration


class Stream(NamedTuple):
    id: UUID
    revision: int


OURS = streams.c.id != endings.STREAM  # which every database has
ALL: Query[Stream] = query(Stream, select(streams.c.id, streams.c.revision).where(OURS).order_by(streams.c.id))
COUNT: Query[int] = query(scalar, select(func.count().label("count")).select_from(streams).where(OURS))
INSERT = insert(streams)


@pytest.fixture
async def database(settings: Settings) -> AsyncIterator[Database]:
    opened = runtime.open_database(settings)
    yield opened
    await opened.close()
    await asyncio.sleep(0.01)  # transports that were cut off close in the next turn of the loop


async def test_a_transaction_is_all_or_nothing(database: Database) -> None:
    kept, lost = ids.new_id(), ids.new_id()
    async with database.transaction() as tx:
        await tx.execute(INSERT, id=kept, revision=1)
    with pytest.raises(ZeroDivisionError):
        async with database.transaction() as tx:
            await tx.execute(INSERT, id=lost, revision=1)
            raise ZeroDivisionError
    assert await database.reads.all(ALL) == [Stream(kept, 1)]
    assert database.pool_status().in_use == 0


async def test_a_transaction_borrows_nothing_before_its_first_statement(database: Database) -> None:
    async with database.transaction() as tx:
        assert (tx.begun, database.pool_status().in_use) == (False, 0)
        await tx.one(COUNT)
        assert (tx.begun, database.pool_status().in_use) == (True, 1)


@pytest.mark.parametrize("swallow", [True, False])
async def test_a_failed_statement_ends_the_transaction_and_names_its_constraint(
    database: Database, *, swallow: bool
) -> None:
    once = ids.new_id()
    expected = RuntimeError if swallow else db.UniqueViolation
    with pytest.raises(expected) as caught:
        async with database.transaction() as tx:
            await tx.execute(INSERT, id=once, revision=1)
            try:
                await tx.execute(INSERT, id=once, revision=2)
            except db.UniqueViolation as error:
                assert error.constraint == "pk_streams"
                with pytest.raises(RuntimeError, match="nothing more can run"):
                    await tx.one(COUNT)
                if not swallow:
                    raise
    assert isinstance(caught.value, expected)
    assert await database.reads.one(COUNT) == 0


async def test_a_transaction_inside_a_transaction_is_refused_rather_than_waited_for(database: Database) -> None:
    async with database.transaction():
        with pytest.raises(RuntimeError, match="open already"):
            async with database.transaction():
                pass
    async with database.transaction() as tx:
        await tx.one(COUNT)
        with pytest.raises(RuntimeError, match="a transaction is open"):
            await database.reads.one(COUNT)
        with pytest.raises(RuntimeError, match="a transaction is open"):
            async with database.snapshot():
                pass


async def test_the_reading_doors_cannot_write(database: Database) -> None:
    writing: Query[int] = query(
        scalar, insert(streams).values(id=bindparam("id"), revision=1).returning(streams.c.revision)
    )
    with pytest.raises(Exception, match=r"read-?only"):
        await database.reads.one(writing, id=ids.new_id())
    with pytest.raises(Exception, match=r"read-?only"):
        async with database.snapshot() as snapshot:
            await snapshot.one(writing, id=ids.new_id())
    assert await database.reads.one(COUNT) == 0


async def test_a_snapshot_is_one_instant(database: Database) -> None:
    async with database.snapshot() as snapshot:
        before = await snapshot.one(COUNT)
        await asyncio.create_task(_insert(database))
        assert await snapshot.one(COUNT) == before
    assert await database.reads.one(COUNT) == before + 1


async def test_a_failing_commit_leaves_nothing(database: Database) -> None:
    failpoints.set_action("db.before_commit", "raise")
    try:
        with pytest.raises(failpoints.FailpointError):
            await _insert(database)
    finally:
        failpoints.set_action("db.before_commit", None)
    assert await database.reads.one(COUNT) == 0
    await _insert(database)
    assert await database.reads.one(COUNT) == 1


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_a_refused_begin_gives_the_only_writer_back(database: Database, database_url: str) -> None:
    await _insert(database)
    async with database.transaction() as tx:
        await tx.one(_pragma("busy_timeout=100"))
    other = sqlite3.connect(database_url.removeprefix("sqlite:///"), isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(db.Unavailable):
        await _insert(database)
    assert database.pool_status().in_use == 0
    other.execute("ROLLBACK")
    other.close()
    async with asyncio.timeout(3):
        await _insert(database)


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
async def test_a_refusal_stands_though_its_rollback_fails(database: Database) -> None:
    with pytest.raises(AppException, match="no such todo"):
        async with database.transaction() as tx:
            pid = await tx.one(query(int, select(func.pg_backend_pid().label("pid"))))
            await asyncio.create_task(_kill(database, pid))
            raise not_found("todo")
    assert database.pool_status().in_use == 0
    await _insert(database)


async def test_what_is_done_at_once_is_all_or_nothing_and_all_there_is(database: Database) -> None:
    told: list[dict[object, int]] = []
    database.listeners.append(lambda announced: told.append(dict(announced)))
    first, second = ids.new_id(), ids.new_id()
    async with database.transaction() as tx:
        assert not await tx.at_once(_new(first), advance(Seen(second, 1)))
        await tx.execute(INSERT, id=second, revision=1)
    assert await database.reads.all(ALL) == [Stream(second, 1)]
    with pytest.raises(RuntimeError, match="nothing more can run"):
        async with database.transaction() as tx:
            assert await tx.at_once(_new(first), advance(Seen(second, 1)))
            tx.announce(second, 2)
            await tx.one(COUNT)
    assert set(await database.reads.all(ALL)) == {Stream(first, 1), Stream(second, 2)}
    assert told == [{second: 2}], "it was committed, whatever came of it afterwards"
    assert database.pool_status().in_use == 0


async def test_what_fails_at_once_leaves_nothing(database: Database) -> None:
    once = ids.new_id()
    await _insert(database)
    with pytest.raises(db.UniqueViolation):
        async with database.transaction() as tx:
            await tx.at_once(_new(once), _new(once))
    with pytest.raises(RuntimeError, match="has begun"):
        async with database.transaction() as tx:
            await tx.one(COUNT)
            await tx.at_once(_new(once))
    assert await database.reads.one(COUNT) == 1
    assert database.pool_status().in_use == 0


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
async def test_nobody_knows_what_was_done_at_once_when_the_server_goes(database: Database) -> None:
    once = ids.new_id()
    async with database.transaction() as tx:
        await tx.execute(INSERT, id=once, revision=1)
        waiting = asyncio.create_task(_at_once(database, once))
        blocked = text("SELECT pid FROM pg_stat_activity WHERE wait_event_type = 'Lock'").columns(pid=Integer)
        while not (pids := await asyncio.create_task(database.reads.all(Query(_only, blocked)))):  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        await asyncio.create_task(_kill(database, pids[0]))
    # The reference executor has not come to its COMMIT.
    with pytest.raises(db.OutcomeUnknown if isinstance(database.executor, Postgres) else db.Unavailable):
        await waiting


async def test_who_waits_for_his_turn_holds_no_connection(database: Database) -> None:
    first, second = ids.new_id(), ids.new_id()
    async with database.transaction() as tx:
        await tx.turn(first)
        waiting = asyncio.create_task(_turn_and_insert(database, first))
        await asyncio.sleep(0.05)
        assert (database.pool_status().in_use, waiting.done()) == (0, False)
        await asyncio.create_task(_turn_and_insert(database, second))
    await waiting
    cancelled = asyncio.create_task(_turn_and_insert(database, first))
    await asyncio.sleep(0)
    cancelled.cancel()
    await asyncio.gather(cancelled, return_exceptions=True)
    async with asyncio.timeout(2):
        await _turn_and_insert(database, first)


@pytest.mark.parametrize(("kind", "outcome"), [(Unreachable, db.Unavailable), (db.Unavailable, type(None))])
async def test_who_waits_behind_one_who_finds_no_database_does_not_try_it_himself(
    database: Database, kind: type[db.Unavailable], outcome: type
) -> None:
    key = ids.new_id()
    waiting: list[asyncio.Task[None]] = []
    with pytest.raises(kind, match="away"):
        async with database.transaction() as tx:
            await tx.turn(key)
            waiting += [asyncio.create_task(_turn_and_insert(database, key)) for _ in range(3)]
            await asyncio.sleep(0.05)
            raise kind("away")
    outcomes = await asyncio.gather(*waiting, return_exceptions=True)
    assert [type(each) for each in outcomes] == [outcome] * 3
    await _turn_and_insert(database, key)  # who comes later tries


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
async def test_a_commit_whose_answer_is_lost_has_an_unknown_outcome(database: Database) -> None:
    with pytest.raises(db.OutcomeUnknown):
        async with database.transaction() as tx:
            await tx.execute(INSERT, id=ids.new_id(), revision=1)
            pid = await tx.one(query(int, select(func.pg_backend_pid().label("pid"))))
            await asyncio.create_task(_kill(database, pid))
    assert await database.reads.one(COUNT) == 0
    await _insert(database)


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_a_full_disk_is_unavailable_and_heals(database: Database) -> None:
    pages = _pragma("max_page_count")
    async with database.transaction() as tx:
        limit = await tx.one(_pragma("page_count"))
        await tx.one(_pragma(f"max_page_count={limit}"))
    with pytest.raises(db.Unavailable):
        async with database.transaction() as tx:
            await tx.many(INSERT, [{"id": ids.new_id(), "revision": n} for n in range(20_000)])
    assert await database.reads.one(COUNT) == 0
    assert await database.reads.one(pages) > 0
    async with database.transaction() as tx:
        await tx.one(_pragma("max_page_count=1000000"))
    await _insert(database)


async def test_a_transaction_that_takes_too_long_is_unavailable(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transactions, "TIME_LIMIT", 0.2)
    with pytest.raises(db.Unavailable, match=r"more than 0\.2 s"):
        async with database.transaction() as tx:
            await tx.execute(INSERT, id=ids.new_id(), revision=1)
            await asyncio.sleep(30)
    assert await database.reads.one(COUNT) == 0
    assert database.pool_status().in_use == 0


async def test_cancelled_transactions_give_their_connections_back(database: Database) -> None:
    async def work() -> None:
        async with database.transaction() as tx:
            await tx.execute(INSERT, id=ids.new_id(), revision=1)
            await asyncio.sleep(30)

    for delay in (0, 0, 0.001, 0.003, 0.01, 0.03):
        tasks = [asyncio.create_task(work()) for _ in range(5)]
        await asyncio.sleep(delay)
        for task in tasks:
            task.cancel()
        assert all(isinstance(r, asyncio.CancelledError) for r in await asyncio.gather(*tasks, return_exceptions=True))
    assert database.pool_status().in_use == 0
    await _insert(database)
    assert await database.reads.one(COUNT) == 1


async def test_writers_take_turns_and_lose_nothing(database: Database) -> None:
    one = ids.new_id()
    async with database.transaction() as tx:
        await tx.execute(INSERT, id=one, revision=0)
    bump = update(streams).where(streams.c.id == bindparam("one")).values(revision=streams.c.revision + 1)

    async def add() -> None:
        async with database.transaction() as tx:
            assert await tx.execute(bump, one=one) == 1

    await asyncio.gather(*(add() for _ in range(50)))
    assert await database.reads.all(ALL) == [Stream(one, 50)]


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
async def test_a_deadlock_is_a_failure_that_may_be_tried_again(database: Database) -> None:
    first, second = ids.new_id(), ids.new_id()
    async with database.transaction() as tx:
        await tx.many(INSERT, [{"id": first, "revision": 0}, {"id": second, "revision": 0}])
    bump = update(streams).where(streams.c.id == bindparam("one")).values(revision=streams.c.revision + 1)
    both = asyncio.Barrier(2)

    async def cross(one: UUID, other: UUID) -> None:
        async with database.transaction() as tx:
            await tx.execute(bump, one=one)
            await both.wait()
            await tx.execute(bump, one=other)

    outcomes = await asyncio.gather(cross(first, second), cross(second, first), return_exceptions=True)
    assert sorted(map(type, outcomes), key=str) == sorted([type(None), db.SerializationFailure], key=str)


async def test_a_database_that_is_not_there_is_unavailable(tmp_path: object) -> None:
    settings = configuration.make_settings("postgresql://nobody@127.0.0.1:1/none", tmp_path)  # type: ignore[arg-type]
    nowhere = runtime.open_database(settings)
    with pytest.raises(db.Unavailable):
        await nowhere.ping()
    with pytest.raises(db.Unavailable):
        await _insert(nowhere)
    await nowhere.close()


def test_a_shape_has_to_have_the_names_of_the_columns() -> None:
    class Wrong(NamedTuple):
        id: UUID
        version: int

    def wrong(id: UUID, version: int) -> None:  # noqa: A002
        """Of both columns."""

    for shape in (Wrong, wrong):
        with pytest.raises(TypeError, match="version"):
            query(shape, select(streams.c.id, streams.c.revision))


def test_no_constraint_waits_for_the_commit() -> None:
    """It would fail there, and everybody with it who shares that commit."""
    assert not [c for table in metadata.tables.values() for c in table.constraints if c.deferrable or c.initially]


async def test_no_connection_outlives_a_storm_of_reads(database: Database) -> None:
    statements: list[str] = []
    database.watchers.append(statements.append)
    await asyncio.gather(*(database.reads.one(COUNT) for _ in range(100)))
    assert (len(statements), database.pool_status().in_use) == (100, 0)


def _pragma(what: str) -> Query[int]:
    return Query(_only, text(f"PRAGMA {what}"))


def _only(row: tuple[int]) -> int:
    return row[0]


async def _insert(database: Database) -> None:
    async with database.transaction() as tx:
        await tx.execute(INSERT, id=ids.new_id(), revision=1)


async def _turn_and_insert(database: Database, key: UUID) -> None:
    async with database.transaction() as tx:
        await tx.turn(key)
        await tx.execute(INSERT, id=ids.new_id(), revision=1)


async def _at_once(database: Database, stream_id: UUID) -> None:
    async with database.transaction() as tx:
        await tx.at_once(_new(stream_id))


def _new(stream_id: UUID) -> Write:
    return Write(INSERT, {"id": stream_id, "revision": 1})


async def _kill(database: Database, pid: int) -> None:
    await database.reads.one(query(bool, select(func.pg_terminate_backend(pid).label("killed"))))
    await asyncio.sleep(0.2)


async def test_what_was_announced_is_told_after_the_commit_and_never_after_a_rollback(database: Database) -> None:
    stream_id = ids.new_id()
    told: list[dict[object, int]] = []
    database.listeners.append(lambda announced: told.append(dict(announced)))
    async with database.transaction() as tx:
        await open_stream(tx, stream_id, 2)
        await bump(tx, stream_id)
        assert told == []
    with pytest.raises(ZeroDivisionError):
        async with database.transaction() as tx:
            await bump(tx, stream_id)
            raise ZeroDivisionError
    async with database.transaction() as tx:
        await tx.one(COUNT)
    assert told == [{stream_id: 3}]
