"""SQLite natively: reading connections with a thread each, and one writing thread with shared commits."""

import asyncio
import sqlite3
from collections.abc import Sequence
from functools import cache, partial
from typing import NoReturn

from sqlalchemy import MetaData
from sqlalchemy.dialects.sqlite import aiosqlite as dialect_of_aiosqlite
from sqlalchemy.engine import make_url
from sqlalchemy.sql.base import Executable

from doable.core.executors import pool, sequence
from doable.core.executors.executor import Params, PoolStatus, Watcher
from doable.core.executors.plans import Plans
from doable.core.executors.pool import Pool
from doable.core.executors.sqlite import words, worker
from doable.core.executors.sqlite.commits import Part, SharedCommits
from doable.core.executors.sqlite.upkeep import Upkeep
from doable.core.executors.sqlite.worker import Job, Worker
from doable.core.queries import Query, Write

_DIALECT = dialect_of_aiosqlite.dialect


class Sqlite:
    """An executor for the file that `url` (`sqlite:///FILE`) names; the folder has to exist."""

    def __init__(self, url: str, metadata: MetaData, *, synchronous: str, pool_size: int, recycle: int) -> None:
        self._path = make_url(url).database or ""
        self._pragmas = (*words.pragmas(synchronous), "wal_autocheckpoint=0")
        self._recycle = recycle
        self.plans = _plans()
        self.translate = words.translation(metadata)
        self.watchers: list[Watcher] = []
        upkeep = pool.Upkeep(
            open=self._open_reader, close=Worker.close, is_closed=_never, answers=_always, recycle=recycle
        )
        self.readers = Pool(upkeep, size=min(pool_size, words.READERS), overflow=0, wait=words.WRITER_WAIT)
        self._writer: _Writer | None = None

    async def read[R](self, question: Query[R], params: Params) -> list[R]:
        session = SqliteSnapshot(self, self.readers.take_now() or await self.readers.take())
        try:
            return await session.rows(question, params)
        finally:
            await session.release()

    async def snapshot(self) -> "SqliteSnapshot":
        session = SqliteSnapshot(self, self.readers.take_now() or await self.readers.take())
        try:
            await session.begin()
        except BaseException:
            await session.release()
            raise
        return session

    async def begin(self) -> "SqliteSession":
        if self._writer is None:
            self._writer = _Writer(self._path, self._pragmas, self._recycle)
        part = await self._writer.commits.enter()
        self.tell("BEGIN")
        return SqliteSession(self, self._writer.commits, part)

    async def at_once(self, writes: Sequence[Write]) -> bool:
        return await sequence.run(await self.begin(), writes)

    def status(self) -> PoolStatus:
        size, in_use = self.readers.status
        return PoolStatus(size + 1, in_use + (self._writer.commits.in_use if self._writer else 0))

    async def close(self) -> None:
        await self.readers.close()
        if self._writer is not None:
            await self._writer.close()

    def tell(self, statement: str) -> None:
        for watch in self.watchers:
            watch(statement)

    def fail(self, error: BaseException) -> NoReturn:
        """Raise what the error means to us, or itself."""
        translated = self.translate(error)
        if translated is error:
            raise error
        raise translated from error

    async def _open_reader(self) -> Worker:
        return Worker(self._path, (*self._pragmas, words.READ_ONLY), "SQLite reader")


@cache
def _plans() -> Plans:
    """One for all executors of a process: its statements are the same ones."""
    return Plans(_DIALECT(dbapi=_DIALECT.import_dbapi()))


class _Writer:
    """Opened by the first transaction: a process that only reads needs none."""

    def __init__(self, path: str, pragmas: Sequence[str], recycle: int) -> None:
        self._worker = Worker(path, (*pragmas, words.STATISTICS), "SQLite writer")
        self.commits = SharedCommits(self._worker)
        self._upkeep = Upkeep(Worker(path, pragmas, "SQLite log"), self.commits, renew_statistics=recycle)
        self.commits.listeners.append(self._upkeep.after_commit)

    async def close(self) -> None:
        await self._upkeep.close()
        await self._worker.close()


class SqliteSnapshot:
    """Of a reading connection."""

    def __init__(self, executor: Sqlite, reader: Worker) -> None:
        self._executor, self._reader = executor, reader
        self._cut_short = False

    async def begin(self) -> None:
        self._executor.tell("BEGIN")
        await self._call(worker.change("BEGIN", ()))

    async def rows[R](self, question: Query[R], params: Params) -> list[R]:
        plan = self._executor.plans.of_rows(question.statement, params)
        sql, args = plan.bind(params)
        self._executor.tell(sql)
        return plan.shape(question.make, await self._call(worker.fetch(sql, args)))

    async def roll_back(self) -> None:
        self._executor.tell("ROLLBACK")
        self._reader.post(partial(_roll_back, self._reader))
        await self.release()

    async def release(self) -> None:
        """Give the connection back, but not before what has been cut short has ended."""
        ended = False
        try:
            if self._cut_short:
                await self._reader.call(_nothing)
            ended = True
        finally:
            if ended:
                self._executor.readers.give(self._reader)
            else:
                self._executor.readers.drop(self._reader)

    async def _call[T](self, job: Job[T]) -> T:
        try:
            return await self._reader.call(job)
        except asyncio.CancelledError:
            self._cut_short = True
            self._reader.interrupt()
            raise
        except sqlite3.Error as error:
            self._executor.fail(error)


class SqliteSession:
    """A part of a shared commit."""

    def __init__(self, executor: Sqlite, commits: SharedCommits, part: Part) -> None:
        self._executor, self._commits, self._part = executor, commits, part

    async def rows[R](self, question: Query[R], params: Params) -> list[R]:
        plan = self._executor.plans.of_rows(question.statement, params)
        sql, args = plan.bind(params)
        return plan.shape(question.make, await self._run(sql, worker.fetch(sql, args)))

    async def execute(self, statement: Executable, params: Params) -> int:
        sql, args = self._executor.plans.of_change(statement, params).bind(params)
        return await self._run(sql, worker.change(sql, args))

    async def each(self, writes: Sequence[Write]) -> bool:
        plans = self._executor.plans
        bound = [plans.of_change(statement, params).bind(params) for statement, params in writes]
        for sql, _ in bound[:-1]:
            self._executor.tell(sql)
        return await self._run(bound[-1][0], worker.change_each(bound))

    async def many(self, statement: Executable, rows: Sequence[Params]) -> None:
        plan = self._executor.plans.of_change(statement, rows[0])
        bound = [plan.bind(row) for row in rows]
        sql = bound[0][0]
        await self._run(sql, worker.change_many(sql, [args for _, args in bound]))

    async def commit(self) -> None:
        self._executor.tell("COMMIT")
        await self._commits.leave(self._part, keep=True)

    async def roll_back(self) -> None:
        self._executor.tell("ROLLBACK")
        await self._commits.leave(self._part, keep=False)

    async def _run[T](self, sql: str, job: Job[T]) -> T:
        self._executor.tell(sql)
        try:
            return await self._commits.run(self._part, job)
        except sqlite3.Error as error:
            self._executor.fail(error)


def _roll_back(reader: Worker) -> None:
    if reader.connection is not None and reader.connection.in_transaction:
        reader.connection.execute("ROLLBACK")


def _nothing(_connection: sqlite3.Connection) -> None: ...


def _never(_reader: Worker) -> bool:
    return False


async def _always(_reader: Worker) -> bool:
    return True
