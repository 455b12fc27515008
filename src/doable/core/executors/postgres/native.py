"""PostgreSQL natively: compiled statements on asyncpg's own connections."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from functools import cache
from typing import Any, NoReturn

from sqlalchemy.dialects.postgresql import asyncpg as dialect_of_asyncpg
from sqlalchemy.engine import make_url
from sqlalchemy.engine.interfaces import Dialect
from sqlalchemy.sql.base import Executable

from doable.core.executors.executor import Params, PoolStatus, Watcher
from doable.core.executors.plans import Plans
from doable.core.executors.pool import Pool, Upkeep
from doable.core.executors.postgres import connection as connections
from doable.core.executors.postgres import together, words
from doable.core.executors.postgres.lookups import Lookups
from doable.core.faults import OutcomeUnknown, Unavailable
from doable.core.queries import Query, Write
from doable.core.wheel import Wheel

with suppress(ModuleNotFoundError):  # installed only where DATABASE_URL needs it, which the entry points check
    import asyncpg

    from doable.core.executors.postgres.connection import Connection

GIVE_UP = 2.0
"""Seconds for the answer to what was cut short, before the connection is thrown away."""
TIMEOUT = words.ANSWER_WAIT
"""Seconds for the answer to a statement. What is alone is timed with all others: a timer of its own costs a tenth."""

_DIALECT = dialect_of_asyncpg.dialect
_BEGIN = "BEGIN ISOLATION LEVEL READ COMMITTED"
_SNAPSHOT = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"


class Postgres:
    """An executor for `postgresql://…`; its pools together have `pool_size` connections and `max_overflow` beyond."""

    def __init__(self, url: str, *, pool_size: int, max_overflow: int, recycle: int) -> None:
        self.plans = _plans()
        _, self._target = self.plans.dialect.create_connect_args(make_url(url))
        self._recycle = recycle
        self.watchers: list[Watcher] = []
        self._wheel = Wheel()
        self._readers = self._pool(pool_size // 2, max_overflow // 2, read_only=True)
        self._writers = self._pool(pool_size - pool_size // 2, max_overflow - max_overflow // 2, read_only=False)
        self._look_up = Lookups(self._read, self._readers.do).rows

    async def read[R](self, question: Query[R], params: Params) -> list[R]:
        plan = self.plans.of_rows(question.statement, params)
        sql, args = plan.bind(params)
        return plan.shape(question.make, await (self._look_up if question.by_key else self._read)(sql, args))

    async def _read(self, sql: str, args: Sequence[Any]) -> "Sequence[asyncpg.Record]":
        connection = self._readers.take_now() or await self._take(self._readers)
        if self.watchers:
            self.tell(sql)
        try:
            records = await self._alone(connection, sql, args)
        except BaseException as error:  # noqa: BLE001 — raised again, in our words
            await _settle(self._readers, connection, error)
            _fail(error, connection)
        self._readers.give(connection)
        return records

    async def snapshot(self) -> "PostgresSession":
        return await self._begin(self._readers, _SNAPSHOT)

    async def begin(self) -> "PostgresSession":
        return await self._begin(self._writers, _BEGIN)

    async def at_once(self, writes: Sequence[Write]) -> bool:
        texts: list[str] = []
        args: list[Any] = []
        for statement, params in writes:
            text, its = self.plans.of_change(statement, params).bind(params)
            texts.append(text)
            args += its
        sql = together.merged(*texts)
        connection = self._writers.take_now() or await self._take(self._writers)
        self.tell(sql)
        try:
            await self._alone(connection, sql, args)
        except BaseException as error:  # noqa: BLE001 — raised again, in our words
            _hang_up(connection, error)
            await _settle(self._writers, connection, error)
            if getattr(error, "sqlstate", None) == together.NOTHING_CHANGED:
                return False
            _fail_to_commit(error, connection)
        self._writers.give(connection)
        return True

    async def commit(self, connection: "Connection") -> None:
        connection.expect_within(TIMEOUT)
        self._wheel.add(connection)
        try:
            await connection.execute("COMMIT")
        except BaseException as error:
            _hang_up(connection, error)
            raise
        finally:
            self._wheel.discard(connection)

    def status(self) -> PoolStatus:
        (size, in_use), (more, more_in_use) = self._writers.status, self._readers.status
        return PoolStatus(size + more, in_use + more_in_use)

    async def close(self) -> None:
        await self._writers.close()
        await self._readers.close()

    def tell(self, statement: str) -> None:
        for watch in self.watchers:
            watch(statement)

    async def _alone(self, connection: "Connection", sql: str, args: Sequence[Any]) -> "Sequence[asyncpg.Record]":
        """Run what is a transaction of its own."""
        connection.expect_within(TIMEOUT)
        self._wheel.add(connection)
        try:
            return await connection.rows(sql, args)
        finally:
            self._wheel.discard(connection)

    async def _take(self, pool: "Pool[Connection]") -> "Connection":
        try:
            return await pool.take()
        except Exception as error:  # noqa: BLE001 — raised again, in our words
            _fail(error, None)

    async def _begin(self, pool: "Pool[Connection]", statement: str) -> "PostgresSession":
        session = PostgresSession(self, pool, pool.take_now() or await self._take(pool))
        try:
            await session.begin(statement)
        except BaseException:
            await session.roll_back()
            raise
        return session

    def _pool(self, size: int, overflow: int, *, read_only: bool) -> "Pool[Connection]":
        async def connect() -> "Connection":
            return await connections.connect(self._target, words.server_settings(read_only=read_only))

        upkeep = Upkeep(open=connect, close=_close, is_closed=_is_closed, answers=_answers, recycle=self._recycle)
        return Pool(upkeep, size=size, overflow=overflow, wait=words.POOL_WAIT)


@cache
def _plans() -> Plans:
    """One for all executors of a process: its statements are the same ones."""
    dialect: Dialect = _DIALECT(dbapi=_DIALECT.import_dbapi())  # type: ignore[no-untyped-call]
    return Plans(dialect)


class PostgresSession:
    def __init__(self, executor: Postgres, pool: "Pool[Connection]", connection: "Connection") -> None:
        self._executor, self._plans, self._tell = executor, executor.plans, executor.tell
        self._pool = pool
        self._connection = connection
        self._cut_short: BaseException | None = None

    async def begin(self, statement: str) -> None:
        await self._run("execute", statement)

    async def rows[R](self, question: Query[R], params: Params) -> list[R]:
        plan = self._plans.of_rows(question.statement, params)
        sql, args = plan.bind(params)
        return plan.shape(question.make, await self._run("fetch", sql, *args))

    async def execute(self, statement: Executable, params: Params) -> int:
        sql, args = self._plans.of_change(statement, params).bind(params)
        tag: str = await self._run("execute", sql, *args)  # such as "INSERT 0 1" or "UPDATE 3"
        count = tag.rpartition(" ")[2]
        return int(count) if count.isdigit() else -1

    async def many(self, statement: Executable, rows: Sequence[Params]) -> None:
        plan = self._plans.of_change(statement, rows[0])
        bound = [plan.bind(row) for row in rows]
        if len(bound) == 1:
            sql, args = bound[0]
            await self._run("execute", sql, *args)
        else:
            await self._run("executemany", bound[0][0], [args for _, args in bound])

    async def commit(self) -> None:
        self._tell("COMMIT")
        try:
            await self._executor.commit(self._connection)
        except BaseException as error:  # noqa: BLE001 — raised again, in our words
            self._cut_short = error
            _fail_to_commit(error, self._connection)
        finally:
            await _settle(self._pool, self._connection, self._cut_short)

    async def roll_back(self) -> None:
        self._tell("ROLLBACK")
        await _settle(self._pool, self._connection, self._cut_short)

    async def _run(self, method: str, sql: str, *args: Any) -> Any:
        self._tell(sql)
        try:
            return await getattr(self._connection, method)(sql, *args, timeout=TIMEOUT)
        except BaseException as error:  # noqa: BLE001 — raised again, in our words
            self._cut_short = error
            _fail(error, self._connection)


async def _settle(pool: "Pool[Connection]", connection: "Connection", error: BaseException | None) -> None:
    """Give a connection back. Nobody is kept waiting for one that has been silent for so long."""
    tidying = _tidy(pool, connection, error)
    if isinstance(error, TimeoutError):
        pool.do(tidying)
    else:
        await tidying


async def _tidy(pool: "Pool[Connection]", connection: "Connection", error: BaseException | None) -> None:
    """With nothing open, with nothing under way, and if its server can write, it may be used again."""
    usable = False
    try:
        async with asyncio.timeout(GIVE_UP):
            if isinstance(error, asyncio.CancelledError | TimeoutError):
                await connection.fetchrow(";")  # asyncpg waits for the end of what was cancelled
            if connection.is_in_transaction():
                await connection.execute("ROLLBACK")
        usable = getattr(error, "sqlstate", None) != words.READ_ONLY
    except Exception:  # noqa: BLE001 — it is gone, and what it did with it; why it was given up is what counts
        return
    finally:
        if usable:
            pool.give(connection)
        else:
            pool.drop(connection)


def _hang_up(connection: "Connection", error: BaseException) -> None:
    """Whoever waits no more for a commit must not cancel it, as asyncpg would do now.

    One that waits for a replica would then be done without it: for all to see, and lost when the replica takes over.
    """
    if isinstance(error, asyncio.CancelledError):
        connection.terminate()


def _fail(error: BaseException, connection: "Connection | None") -> NoReturn:
    lost = connection is not None and connection.is_closed() and isinstance(error, Exception)
    translated = words.translate(error, connection_lost=lost)
    if translated is error:
        raise error
    raise translated from error


def _fail_to_commit(error: BaseException, connection: "Connection") -> NoReturn:
    """What the server has refused has not happened; without its word, or when it goes, nobody knows."""
    try:
        _fail(error, connection)
    except Unavailable as unavailable:
        if connection.is_closed() or not words.is_refusal(error):
            raise OutcomeUnknown(str(unavailable)) from error
        raise


async def _close(connection: "Connection") -> None:
    try:
        await connection.close(timeout=GIVE_UP)
    except Exception:  # noqa: BLE001 — it is gone already, or does not answer
        connection.terminate()


def _is_closed(connection: "Connection") -> bool:
    return connection.is_closed()


async def _answers(connection: "Connection") -> bool:
    try:
        async with asyncio.timeout(GIVE_UP):
            await connection.fetchrow(";")
    except Exception:  # noqa: BLE001 — whatever it is, the connection is no good
        return False
    return True
