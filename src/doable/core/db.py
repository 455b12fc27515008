"""What features know of the database: statements, rows, three doors and a handful of errors.

`Database.transaction()` is the only place that begins, commits or rolls back. Behind the doors is an executor
(`core.executors`), which knows the driver and translates its errors.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Hashable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from contextvars import ContextVar
from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.sql.base import Executable

from doable.core import failpoints
from doable.core.executors.executor import Executor, Params, PoolStatus, Reading, Session, Watcher
from doable.core.faults import (
    CheckViolation,
    DatabaseError,
    ForeignKeyViolation,
    LockTimeout,
    OutcomeUnknown,
    SerializationFailure,
    Unavailable,
    UniqueViolation,
)
from doable.core.queries import Query, Reader, Write, scalar
from doable.core.turns import Turn, Turns
from doable.core.wheel import Limit, Wheel

__all__ = [
    "TIME_LIMIT",
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

TIME_LIMIT = 10.0
"""Seconds that a transaction may take from its first statement."""

type Opening = Callable[[Transaction], Awaitable[None]]
"""What a transaction runs before the first statement that it is given; nothing is borrowed before that."""
type Reaction = Callable[[Transaction, Any], Awaitable[None]]
type Reactions = Mapping[type, Sequence[Reaction]]
"""What features above do, in the same transaction, when a feature below tells a fact of this type."""
type Listener = Callable[[Mapping[Hashable, int]], None]
"""Told after a commit what has been announced, to wake those who look for it: nothing rests on being told."""


class Transaction(Reader):
    """All or nothing. Borrows a connection and begins at its first statement; a failed statement ends it."""

    def __init__(self, database: "Database", limit: Limit, opening: Opening | None) -> None:
        self._database = database
        self._limit = limit
        self._opening = opening
        self.task = asyncio.current_task()
        self._session: Session | None = None
        self._turn: Turn | None = None
        self._failed = False
        self._committed = False
        self._announced: dict[Hashable, int] = {}

    @property
    def begun(self) -> bool:
        return self._session is not None

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
            self._turn = await self._database.turns.take(key)

    def newest(self, stream_id: UUID, seen: int) -> int:
        """The revision that the stream had when it was read, or what this process has made of it since."""
        return self._database.turns.newest(stream_id, seen)

    @property
    def can_be_at_once(self) -> bool:
        """Whether nothing has begun, and nothing has to come first."""
        return not (self.begun or self._committed or self._failed) and self._opening is None

    async def at_once(self, *writes: Write) -> bool:
        """Be these changes and no more, committed; `False`: one of them changes no row, and nothing has happened.

        Each may see what was there before all of them: on PostgreSQL they are one statement.
        """
        if not self.can_be_at_once:
            raise RuntimeError("the transaction has begun: there is more to commit than this")
        self._failed = True  # until it is known better
        await failpoints.reach("db.before_commit")
        self._limit.move(None)  # as in `_commit`
        self._committed = await self._database.executor.at_once(writes)
        self._failed = False
        if self._committed:
            await failpoints.reach("db.after_commit")
        else:
            self._start_clock()
        return self._committed

    async def execute(self, statement: Executable, /, **params: object) -> int:
        """Run a statement that answers no rows and return how many it changed."""
        return await self._run(lambda session: session.execute(statement, params))

    async def many(self, statement: Executable, rows: Iterable[Mapping[str, object]], /) -> None:
        """Run a statement once for each set of parameters; none at all is fine."""
        if batch := [dict(row) for row in rows]:
            await self._run(lambda session: session.many(statement, batch))

    async def tell(self, fact: object) -> None:
        """Let the features that react to facts of this type do their part in this transaction."""
        for react in self._database.reactions.get(type(fact), ()):
            await react(self, fact)

    def announce(self, what: Hashable, number: int) -> None:
        """Have the listeners told after the commit: the id of a stream and its revision."""
        self._announced[what] = number

    async def _rows[R](self, question: Query[R], params: Params) -> list[R]:
        return await self._run(lambda session: session.rows(question, params))

    async def _run[T](self, work: Callable[[Session], Awaitable[T]]) -> T:
        if self._failed or self._committed:
            raise RuntimeError("a statement of this transaction has failed, or it was all; nothing more can run in it")
        try:
            return await work(self._session or await self._begin())
        except BaseException:
            self._failed = True
            raise

    async def _begin(self) -> Session:
        if self._opening is not None:
            opening, self._opening = self._opening, None
            await opening(self)
        if self._session is None:
            self._start_clock()
            self._session = await self._database.executor.begin()
        return self._session

    def _start_clock(self) -> None:
        if self._limit.when is None:
            self._limit.move(asyncio.get_running_loop().time() + TIME_LIMIT)

    async def finish(self, *, commit: bool, in_vain: bool = False) -> None:
        """For `Database.transaction` alone. `in_vain`: the database is away."""
        try:
            await self._end(commit=commit)
        except (Unavailable, OutcomeUnknown):
            in_vain = True
            raise
        finally:
            if self._turn is not None:
                self._turn.release(in_vain=in_vain or self._limit.expired)

    async def _end(self, *, commit: bool) -> None:
        session, self._session = self._session, None
        if session is not None:
            await (self._commit(session) if commit and not self._failed else session.roll_back())
        if commit and self._failed:
            raise RuntimeError("a statement of this transaction has failed and the failure was swallowed")
        if self._committed and self._announced:
            self._database.turns.remember(self._announced)
            for listen in self._database.listeners:
                listen(self._announced)

    async def _commit(self, session: Session) -> None:
        try:
            await failpoints.reach("db.before_commit")
        except BaseException:
            await session.roll_back()
            raise
        self._limit.move(None)  # cut short, COMMIT's outcome would be unknown; the executor bounds it
        await session.commit()
        self._committed = True
        await failpoints.reach("db.after_commit")


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
                raise Unavailable(f"the transaction took more than {TIME_LIMIT:g} s") from error
            raise

    async def ping(self) -> None:
        await self.reads.one(Query(scalar, text("SELECT 1")))

    def pool_status(self) -> PoolStatus:
        return self.executor.status()

    async def close(self) -> None:
        await self.executor.close()


async def _give_up(transaction: Transaction, error: BaseException) -> None:
    try:
        await transaction.finish(commit=False, in_vain=isinstance(error, Unavailable))
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
