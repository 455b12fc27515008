"""What features know of the database: statements, rows, three doors and a handful of errors.

`Database.transaction()` is the only place that begins, commits or rolls back. Behind the doors are SQLAlchemy's pooled
connections; `core.sqlite` and `core.postgres` make the engines and translate their errors.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Hashable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from contextvars import ContextVar
from typing import Any
from uuid import UUID
from weakref import WeakValueDictionary

from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
from sqlalchemy.sql.base import Executable

from doable.core import engines, failpoints
from doable.core.engines import Engines, PoolStatus
from doable.core.queries import Query, Reader, scalar

TIME_LIMIT = 10.0
"""Seconds that a transaction may take from its first statement."""


class DatabaseError(Exception):
    """A failure that a caller can act on. Everything else that the database raises is a bug."""

    def __init__(self, message: str = "", constraint: str | None = None) -> None:
        super().__init__(message)
        self.constraint = constraint


class UniqueViolation(DatabaseError):
    """`constraint` is its name in the metadata, on both databases."""


class ForeignKeyViolation(DatabaseError): ...


class CheckViolation(DatabaseError):
    """A CHECK or NOT NULL constraint."""


class SerializationFailure(DatabaseError):
    """Nothing was written; the same request may succeed when it is sent again."""


class Unavailable(DatabaseError):
    """The database did not answer, or not in time. Nothing was written."""


class LockTimeout(Unavailable):
    """Another transaction held what this one waited for."""


class OutcomeUnknown(DatabaseError):
    """The answer to COMMIT was lost: the transaction may have happened or not."""


type Opening = Callable[[Transaction], Awaitable[None]]
"""What a transaction runs before the first statement that it is given; nothing is borrowed before that."""
type Reaction = Callable[[Transaction, Any], Awaitable[None]]
type Reactions = Mapping[type, Sequence[Reaction]]
"""What features above do, in the same transaction, when a feature below tells a fact of this type."""
type Listener = Callable[[Mapping[Hashable, int]], None]
"""Told after a commit what has been announced, to wake those who look for it: nothing rests on being told."""


class Transaction(Reader):
    """All or nothing. Borrows a connection and begins at its first statement; a failed statement ends it."""

    def __init__(self, database: "Database", limit: asyncio.Timeout, opening: Opening | None) -> None:
        self._database = database
        self._engines = database.engines
        self._limit = limit
        self._opening = opening
        self.task = asyncio.current_task()
        self._connection: AsyncConnection | None = None
        self._turn: asyncio.Lock | None = None
        self._failed = False
        self._announced: dict[Hashable, int] = {}

    @property
    def begun(self) -> bool:
        return self._connection is not None

    @property
    def ahead(self) -> Reader:
        """For what is read before the first write: the reading door, which holds nothing, while nothing has begun.

        An opening comes before that too, since it may find that nothing is to be done: then it is this transaction.
        """
        return self if self.begun or self._opening is not None else self._database.reads

    async def turn(self, key: UUID) -> None:
        """Wait for the others of this process that write under `key`, before a connection is borrowed.

        Otherwise those who wait for one row would hold the connections of all. Once begun it is the row's lock alone.
        """
        if self._turn is None and not self.begun:
            self._start_clock()
            turn = self._database.turn(key)
            await turn.acquire()
            self._turn = turn

    async def execute(self, statement: Executable, /, **params: object) -> int:
        """Run a statement that answers no rows and return how many it changed."""
        changed: int = (await self._run(statement, params)).rowcount
        return changed

    async def many(self, statement: Executable, rows: Iterable[Mapping[str, object]], /) -> None:
        """Run a statement once for each set of parameters; none at all is fine."""
        if batch := [dict(row) for row in rows]:
            await self._run(statement, batch)

    async def tell(self, fact: object) -> None:
        """Let the features that react to facts of this type do their part in this transaction."""
        for react in self._database.reactions.get(type(fact), ()):
            await react(self, fact)

    def announce(self, what: Hashable, number: int) -> None:
        """Have the listeners told after the commit: the id of a stream and its revision."""
        self._announced[what] = number

    async def _rows(self, statement: Executable, params: Mapping[str, object]) -> list[Any]:
        return list((await self._run(statement, params)).all())

    async def _run(self, statement: Executable, params: Any) -> Any:
        if self._failed:
            raise RuntimeError("a statement of this transaction has failed; nothing more can run in it")
        try:
            connection = self._connection or await self._begin()
            return await connection.execute(statement, params)
        except BaseException as error:  # noqa: BLE001 — raised again, in our words
            self._failed = True
            self._engines.fail(error)

    async def _begin(self) -> AsyncConnection:
        if self._opening is not None:
            opening, self._opening = self._opening, None
            await opening(self)
        if self._connection is None:
            self._start_clock()
            self._connection = await engines.borrow(_begun(self._engines.writer))
        return self._connection

    def _start_clock(self) -> None:
        if self._limit.when() is None:
            self._limit.reschedule(asyncio.get_running_loop().time() + TIME_LIMIT)

    async def finish(self, *, commit: bool) -> None:
        """For `Database.transaction` alone."""
        try:
            await self._end(commit=commit)
        finally:
            if self._turn is not None:
                self._turn.release()

    async def _end(self, *, commit: bool) -> None:
        connection, self._connection = self._connection, None
        if connection is None:
            return
        try:
            if not commit or self._failed:
                await _roll_back(connection)
            else:
                await self._commit(connection)
        finally:
            await connection.close()
        if commit and self._failed:
            raise RuntimeError("a statement of this transaction has failed and the failure was swallowed")
        for listen in self._database.listeners if commit and self._announced else ():
            listen(self._announced)

    async def _commit(self, connection: AsyncConnection) -> None:
        await failpoints.reach("db.before_commit")
        self._limit.reschedule(None)  # cut short, COMMIT's outcome would be unknown; the driver bounds it
        try:
            await connection.commit()
        except (SQLAlchemyError, OSError, TimeoutError) as error:
            translated = self._engines.translate(error)
            if self._engines.commit_can_be_lost and isinstance(translated, Unavailable):
                raise OutcomeUnknown(str(translated)) from error
            self._engines.fail(error)
        await failpoints.reach("db.after_commit")


class _Reads(Reader):
    def __init__(self, pools: Engines) -> None:
        self._engines = pools

    async def _rows(self, statement: Executable, params: Mapping[str, object]) -> list[Any]:
        _refuse_inside_transaction("a read beside it")
        try:
            connection = await engines.borrow(self._engines.reader.connect())
            try:
                return list((await connection.execute(statement, dict(params))).all())
            finally:
                await connection.close()
        except BaseException as error:  # noqa: BLE001 — raised again, in our words
            self._engines.fail(error)


_current: ContextVar[Transaction | None] = ContextVar("transaction", default=None)


class Database:
    """Three doors: `reads` (each statement alone), `snapshot()` (several reads of one instant), `transaction()`."""

    def __init__(self, pools: Engines, reactions: Reactions) -> None:
        self.engines = pools
        self.reads: Reader = _Reads(pools)
        self.reactions = reactions
        self.listeners: list[Listener] = []
        self._turns: WeakValueDictionary[UUID, asyncio.Lock] = WeakValueDictionary()

    @asynccontextmanager
    async def snapshot(self) -> AsyncIterator[Reader]:
        """Several reads of one instant, on a connection that refuses writes."""
        _refuse_inside_transaction("a snapshot beside it")
        try:
            connection = await engines.borrow(self.engines.reader.connect())
        except BaseException as error:  # noqa: BLE001 — raised again, in our words
            self.engines.fail(error)
        try:
            snapshot = engines.Snapshot(connection, self.engines)
            await snapshot.begin()
            yield snapshot
        finally:
            await connection.close()

    @asynccontextmanager
    async def transaction(self, opening: Opening | None = None) -> AsyncIterator[Transaction]:
        """Leaving it commits, an exception rolls back. Refused inside another: the writer of SQLite is only one."""
        if _of_this_task() is not None:
            raise RuntimeError("a transaction is open already; pass it on")
        limit = asyncio.timeout(None)
        try:
            async with limit:
                transaction = Transaction(self, limit, opening)
                token = _current.set(transaction)
                try:
                    yield transaction
                except BaseException:
                    await transaction.finish(commit=False)
                    raise
                else:
                    await transaction.finish(commit=True)
                finally:
                    _current.reset(token)
        except TimeoutError as error:
            if limit.expired():
                raise Unavailable(f"the transaction took more than {TIME_LIMIT:g} s") from error
            raise

    def turn(self, key: UUID) -> asyncio.Lock:
        """The lock for those of this process who write under `key`; it lives while somebody holds or awaits it."""
        return self._turns.setdefault(key, asyncio.Lock())

    async def ping(self) -> None:
        await self.reads.one(Query(scalar, text("SELECT 1")))

    def pool_status(self) -> PoolStatus:
        return engines.status(self.engines)

    async def close(self) -> None:
        await self.engines.writer.dispose()
        await self.engines.reader.dispose()


async def _begun(writer: AsyncEngine) -> AsyncConnection:
    connection = await writer.connect()
    try:
        await connection.begin()
    except BaseException:
        await connection.close()
        raise
    return connection


async def _roll_back(connection: AsyncConnection) -> None:
    try:
        await connection.rollback()
    except (SQLAlchemyError, OSError):  # it is gone, and its transaction with it; why we roll back is what counts
        await connection.invalidate()


def _of_this_task() -> Transaction | None:
    transaction = _current.get()
    # A task that was started inside a transaction has inherited the variable, but not the transaction.
    return transaction if transaction is not None and transaction.task is asyncio.current_task() else None


def _refuse_inside_transaction(what: str) -> None:
    transaction = _of_this_task()
    if transaction is not None and transaction.begun:
        raise RuntimeError(f"a transaction is open: {what} could wait for its connection for ever")
