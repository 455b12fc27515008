"""A transaction as features see it: lazy, bounded in time, with what is done around its commit."""

import asyncio
from collections.abc import Awaitable, Callable, Hashable, Iterable, Mapping, Sequence
from typing import Any, Protocol
from uuid import UUID

from sqlalchemy.sql.base import Executable

from doable.core import failpoints
from doable.core.errors import AppException
from doable.core.executors.executor import Executor, Params, Session
from doable.core.faults import OutcomeUnknown, Unreachable
from doable.core.queries import Query, Reader, Write
from doable.core.turns import Turn, Turns
from doable.core.wheel import Limit

TIME_LIMIT = 10.0
"""Seconds that a transaction may take, from its first statement or from its wait for a turn, until its COMMIT."""

type Reaction = Callable[[Transaction, Any], Awaitable[None]]
type Reactions = Mapping[type, Sequence[Reaction]]
"""What features above do, in the same transaction, when a feature below tells a fact of this type."""
type Listener = Callable[[Mapping[Hashable, int]], None]
"""Told after a commit what has been announced, to wake those who look for it: nothing rests on being told."""


class Opening(Protocol):
    """What a transaction begins with, before the first statement that it is given: a claim."""

    @property
    def can_be_at_once(self) -> bool:
        """Whether it can be written with everything else."""

    async def wait(self) -> None:
        """Until nobody else of this process is about the same; nothing is borrowed before that."""

    async def open(self, tx: "Transaction") -> None:
        """Run what comes first."""

    async def at_once(self, run: Callable[[Write], Awaitable[bool]], result: object) -> bool:
        """Be the first of the changes that `run` makes; what comes of them all is `result`."""

    def end(self, *, committed: bool) -> None:
        """Nothing follows any more."""


class Doors(Protocol):
    """What a transaction needs of its database."""

    executor: Executor
    reads: Reader
    reactions: Reactions
    listeners: list[Listener]
    turns: Turns


class Transaction(Reader):
    """All or nothing. Borrows a connection and begins at its first statement; a failed statement ends it."""

    def __init__(self, database: Doors, limit: Limit, opening: Opening | None) -> None:
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
            if self._opening is not None:
                await self._opening.wait()
            self._turn = await self._database.turns.take(key)

    @property
    def turns(self) -> Turns:
        """What this process knows of streams without asking."""
        return self._database.turns

    async def look[R](self, find: Callable[[Reader], Awaitable[R]]) -> R:
        """What `at_once` is to change, found without holding anything. An opening comes before a refusal, too."""
        if self.begun or self._opening is None:
            return await find(self.ahead)
        try:
            return await find(self._database.reads)
        except AppException:
            await self.open()
            return await find(self)

    async def open(self) -> None:
        """Let an opening come now, if it has not come: before an answer that changes nothing."""
        if self._opening is not None:
            await self._begin()

    @property
    def can_be_at_once(self) -> bool:
        """Whether nothing has begun."""
        opened = self._opening is None or self._opening.can_be_at_once
        return opened and not (self.begun or self._committed or self._failed)

    async def at_once(self, *writes: Write, result: object = None) -> bool:
        """Be these changes and no more, committed; `False`: one of them changes no row, and nothing has happened.

        Each may see what was there before all of them: on PostgreSQL they are one statement. `result`: what it is all
        for, which an opening may want to know.
        """
        if not self.can_be_at_once:
            raise RuntimeError("the transaction has begun: there is more to commit than this")
        self._failed = True  # until it is known better
        if self._opening is None:
            self._committed = await self._commit_at_once(*writes)
        else:
            self._committed = await self._opening.at_once(lambda first: self._commit_at_once(first, *writes), result)
        self._failed = False
        if self._committed:
            await failpoints.reach("db.after_commit")
        else:
            self._start_clock()
            await self.open()  # which may be what has changed no row
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

    def _rows[R](self, question: Query[R], params: Params) -> Awaitable[list[R]]:
        return self._run(lambda session: session.rows(question, params))

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
            await opening.open(self)
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
        except (Unreachable, OutcomeUnknown):
            in_vain = True
            raise
        finally:
            if self._turn is not None:
                self._turn.release(in_vain=in_vain)

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

    async def _commit_at_once(self, *writes: Write) -> bool:
        await failpoints.reach("db.before_commit")
        self._limit.move(None)  # as in `_commit`
        return await self._database.executor.at_once(writes)

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
