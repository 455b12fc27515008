"""What features know of the database: statements, rows, three doors and a handful of errors.

`Database.transaction()` is the only place that begins, commits or rolls back, by `core.transactions`. Behind the doors
is an executor (`core.executors`), which knows the driver and translates its errors.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from contextvars import ContextVar
from types import TracebackType
from typing import override

from sqlalchemy import text

from doable.core import transactions
from doable.core.executors.executor import Executor, Params, PoolStatus, Reading, Watcher
from doable.core.faults import (
    CheckViolation,
    DatabaseError,
    ForeignKeyViolation,
    LockTimeout,
    OutcomeUnknown,
    SerializationFailure,
    Unavailable,
    UniqueViolation,
    Unreachable,
)
from doable.core.queries import Query, Reader, scalar
from doable.core.transactions import Listener, Opening, Reaction, Reactions, Transaction
from doable.core.turns import Turns
from doable.core.wheel import Limit, Wheel

__all__ = [
    "CheckViolation",
    "Database",
    "DatabaseError",
    "ForeignKeyViolation",
    "Listener",
    "LockTimeout",
    "Opening",
    "OutcomeUnknown",
    "PoolStatus",
    "Reaction",
    "Reactions",
    "SerializationFailure",
    "Transaction",
    "Unavailable",
    "UniqueViolation",
]


class _Reads(Reader):
    def __init__(self, executor: Executor) -> None:
        self._executor = executor

    def _rows[R](self, question: Query[R], params: Params) -> Awaitable[list[R]]:
        _refuse_inside_transaction("a read beside it")
        return self._executor.read(question, params)


class _Snapshot(Reader):
    def __init__(self, session: Reading) -> None:
        self._session = session

    def _rows[R](self, question: Query[R], params: Params) -> Awaitable[list[R]]:
        return self._session.rows(question, params)


_current: ContextVar[Transaction | None] = ContextVar("transaction", default=None)


class Database:
    """Three doors: `reads` (each statement alone), `snapshot()` (several reads of one instant), `transaction()`."""

    def __init__(self, executor: Executor, reactions: Reactions) -> None:
        self.executor = executor
        self.reads: Reader = _Reads(executor)
        self.reactions = reactions
        self.listeners: list[Listener] = []
        self._wheel = Wheel()
        self.turns = Turns()

    @property
    def watchers(self) -> list[Watcher]:
        """Told each statement that is run."""
        return self.executor.watchers

    @asynccontextmanager
    async def snapshot(self) -> AsyncIterator[Reader]:
        """Several reads of one instant, on a connection that refuses writes."""
        _refuse_inside_transaction("a snapshot beside it")
        session = await self.executor.snapshot()
        try:
            yield _Snapshot(session)
        finally:
            await session.roll_back()

    def transaction(self, opening: Opening | None = None) -> AbstractAsyncContextManager[Transaction]:
        """Leaving it commits, an exception rolls back. Refused inside another: the writer of SQLite is only one."""
        return _Bounds(self, Limit(self._wheel), opening)

    async def ping(self) -> None:
        await self.reads.one(Query(scalar, text("SELECT 1")))

    def pool_status(self) -> PoolStatus:
        return self.executor.status()

    async def close(self) -> None:
        await self.executor.close()


class _Bounds(AbstractAsyncContextManager[Transaction]):
    """Where a transaction begins and ends. A generator would read better, but costs a write more than all else here."""

    __slots__ = ("_database", "_limit", "_opening", "_token", "_transaction")

    def __init__(self, database: Database, limit: Limit, opening: Opening | None) -> None:
        self._database, self._limit, self._opening = database, limit, opening

    @override
    async def __aenter__(self) -> Transaction:
        if _of_this_task() is not None:
            raise RuntimeError("a transaction is open already; pass it on")
        self._limit.__enter__()
        self._transaction = Transaction(self._database, self._limit, self._opening)
        self._token = _current.set(self._transaction)
        return self._transaction

    @override
    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if error is None:
                await self._transaction.finish(commit=True)
            else:
                await _give_up(self._transaction, error)
        except BaseException as raised:
            self._leave(raised)
            raise
        self._leave(error)

    def _leave(self, error: BaseException | None) -> None:
        if self._opening is not None:
            self._opening.end(committed=error is None)
        try:
            self._limit.__exit__(None if error is None else type(error), error, None)
        except TimeoutError as late:
            raise _too_long() from late
        finally:
            _current.reset(self._token)
        if self._limit.expired and isinstance(error, TimeoutError):
            raise _too_long() from error


def _too_long() -> Unavailable:
    return Unavailable(f"the transaction took more than {transactions.TIME_LIMIT:g} s")


async def _give_up(transaction: Transaction, error: BaseException) -> None:
    try:
        await transaction.finish(commit=False, in_vain=isinstance(error, Unreachable | OutcomeUnknown))
    except DatabaseError:
        if isinstance(error, Exception):  # what the refusal rests on has never been
            raise


def _of_this_task() -> Transaction | None:
    transaction = _current.get()
    # A task that was started inside a transaction has inherited the variable, but not the transaction.
    return transaction if transaction is not None and transaction.task is asyncio.current_task() else None


def _refuse_inside_transaction(what: str) -> None:
    transaction = _of_this_task()
    if transaction is not None and transaction.begun:
        raise RuntimeError(f"a transaction is open: {what} could wait for its connection for ever")
