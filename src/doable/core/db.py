"""What features know of the database: statements, rows, three doors and a handful of errors.

`Database.transaction()` is the only place that begins, commits or rolls back, by `core.transactions`. Behind the doors
is an executor (`core.executors`), which knows the driver and translates its errors.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from contextvars import ContextVar

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

    async def _rows[R](self, question: Query[R], params: Params) -> list[R]:
        _refuse_inside_transaction("a read beside it")
        return await self._executor.read(question, params)


class _Snapshot(Reader):
    def __init__(self, session: Reading) -> None:
        self._session = session

    async def _rows[R](self, question: Query[R], params: Params) -> list[R]:
        return await self._session.rows(question, params)


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

    @asynccontextmanager
    async def transaction(self, opening: Opening | None = None) -> AsyncIterator[Transaction]:
        """Leaving it commits, an exception rolls back. Refused inside another: the writer of SQLite is only one."""
        if _of_this_task() is not None:
            raise RuntimeError("a transaction is open already; pass it on")
        limit = Limit(self._wheel)
        try:
            with limit:
                transaction = Transaction(self, limit, opening)
                token = _current.set(transaction)
                try:
                    yield transaction
                except BaseException as error:
                    await _give_up(transaction, error)
                    raise
                else:
                    await transaction.finish(commit=True)
                finally:
                    _current.reset(token)
        except TimeoutError as error:
            if limit.expired:
                raise Unavailable(f"the transaction took more than {transactions.TIME_LIMIT:g} s") from error
            raise

    async def ping(self) -> None:
        await self.reads.one(Query(scalar, text("SELECT 1")))

    def pool_status(self) -> PoolStatus:
        return self.executor.status()

    async def close(self) -> None:
        await self.executor.close()


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
