"""The reference: every statement through SQLAlchemy's own pooled connections."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, NoReturn, cast

from sqlalchemy import event
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
from sqlalchemy.pool import QueuePool
from sqlalchemy.sql.base import Executable

from doable.core.executors import sequence
from doable.core.executors.executor import Params, PoolStatus, Watcher
from doable.core.faults import OutcomeUnknown, Unavailable
from doable.core.queries import Query, Write


@dataclass(frozen=True, slots=True)
class Engines:
    """`reader` refuses writes; `commit_can_be_lost` says whether COMMIT crosses a network."""

    writer: AsyncEngine
    reader: AsyncEngine
    begin_snapshot: Callable[[AsyncConnection], Awaitable[object]]
    translate: Callable[[BaseException], BaseException]
    commit_can_be_lost: bool

    def fail(self, error: BaseException) -> NoReturn:
        """Raise what the error means to us, or itself."""
        translated = self.translate(error)
        if translated is error:
            raise error
        raise translated from error


class Alchemy:
    """An executor."""

    def __init__(self, engines: Engines) -> None:
        self._engines = engines
        self.watchers: list[Watcher] = []
        for engine in (engines.writer, engines.reader):
            event.listen(engine.sync_engine, "before_cursor_execute", lambda *told: self._tell_statement(told[2]))
        for what in ("begin", "commit", "rollback"):
            event.listen(engines.writer.sync_engine, what, lambda *_, what=what: self._tell(what.upper()))

    async def read[R](self, question: Query[R], params: Params) -> list[R]:
        connection = await self._borrow(self._engines.reader.connect())
        session = AlchemySession(connection, self._engines)
        try:
            return await session.rows(question, params)
        finally:
            await connection.close()

    async def snapshot(self) -> "AlchemySession":
        connection = await self._borrow(self._engines.reader.connect())
        try:
            await self._engines.begin_snapshot(connection)
        except BaseException as error:  # noqa: BLE001 — raised again, in our words
            await connection.close()
            self._engines.fail(error)
        return AlchemySession(connection, self._engines)

    async def begin(self) -> "AlchemySession":
        return AlchemySession(await self._borrow(_begun(self._engines.writer)), self._engines)

    async def at_once(self, writes: Sequence[Write]) -> bool:
        return await sequence.run(await self.begin(), writes)

    def status(self) -> PoolStatus:
        pools = [cast("QueuePool", engine.pool) for engine in (self._engines.writer, self._engines.reader)]
        return PoolStatus(sum(pool.size() for pool in pools), sum(pool.checkedout() for pool in pools))

    async def close(self) -> None:
        await self._engines.writer.dispose()
        await self._engines.reader.dispose()

    def _tell_statement(self, statement: str) -> None:
        if not statement.startswith("BEGIN"):  # told already: it is how SQLAlchemy begins on SQLite
            self._tell(statement)

    def _tell(self, statement: str) -> None:
        for watch in self.watchers:
            watch(statement)

    async def _borrow(self, opening: Awaitable[AsyncConnection]) -> AsyncConnection:
        """A connection of a pool. Drivers lose one whose opening is cancelled, so it is opened and given back."""
        opened = asyncio.ensure_future(opening)
        try:
            return await asyncio.shield(opened)
        except asyncio.CancelledError:
            with suppress(Exception):
                await (await opened).close()
            raise
        except Exception as error:  # noqa: BLE001 — raised again, in our words
            self._engines.fail(error)


class AlchemySession:
    def __init__(self, connection: AsyncConnection, engines: Engines) -> None:
        self._connection, self._engines = connection, engines

    async def rows[R](self, question: Query[R], params: Params) -> list[R]:
        make = question.make
        return [make(row) for row in (await self._run(question.statement, dict(params))).all()]

    async def execute(self, statement: Executable, params: Params) -> int:
        changed: int = (await self._run(statement, dict(params))).rowcount
        return changed

    async def each(self, writes: Sequence[Write]) -> bool:
        for write in writes:
            if not await self.execute(write.statement, write.params):
                return False
        return True

    async def many(self, statement: Executable, rows: Sequence[Params]) -> None:
        await self._run(statement, rows)

    async def commit(self) -> None:
        try:
            await self._connection.commit()
        except (SQLAlchemyError, OSError, TimeoutError) as error:
            translated = self._engines.translate(error)
            if self._engines.commit_can_be_lost and isinstance(translated, Unavailable):
                raise OutcomeUnknown(str(translated)) from error
            self._engines.fail(error)
        finally:
            await self._connection.close()

    async def roll_back(self) -> None:
        try:
            await self._connection.rollback()
        except (SQLAlchemyError, OSError):  # it is gone, and its transaction with it; why we roll back is what counts
            await self._connection.invalidate()
        finally:
            await self._connection.close()

    async def _run(self, statement: Executable, params: Mapping[str, Any] | Sequence[Params]) -> Any:
        try:
            return await self._connection.execute(statement, cast("Any", params))
        except BaseException as error:  # noqa: BLE001 — raised again, in our words
            self._engines.fail(error)


async def _begun(writer: AsyncEngine) -> AsyncConnection:
    connection = await writer.connect()
    try:
        await connection.begin()
    except BaseException:
        await connection.close()
        raise
    return connection
