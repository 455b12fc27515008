"""The one writer of SQLite, whose transactions share commits.

They run one after the other, each in a savepoint of one outer transaction. When one ends while others wait, the next
begins; when nobody waits, or enough have come together, the outer transaction is committed, and only then does any of
them hear that it has ended. So nothing is acknowledged that is not on the disk, and one fsync does for many.
"""

import asyncio
import sqlite3
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial

from doable.core import clock
from doable.core.executors.sqlite.words import WRITER_WAIT
from doable.core.executors.sqlite.worker import Job, Worker
from doable.core.faults import Unavailable, Unreachable

MOST_MEMBERS = 256
LEAST = 0.1
"""Seconds that a transaction waits for another process, even when it has waited long for its turn."""
LONGEST = 0.010
"""Seconds after which nobody else may join those who wait for their commit."""

type Chore = Callable[[sqlite3.Connection], None]
type Member = asyncio.Future[None]
"""Done when the outer transaction has been committed, or has failed."""


class Part:
    """One transaction's part of the outer one: a savepoint. Its methods are for the writer's thread.

    `until`: how long it waits for a writer of another process; the wait for its turn is part of that.
    """

    def __init__(self, until: float) -> None:
        self.entered = False
        self._until = until

    def run[T](self, job: Job[T], connection: sqlite3.Connection) -> T:
        if not self.entered:
            if not connection.in_transaction:
                self._begin(connection)
            connection.execute("SAVEPOINT part")
            self.entered = True
        return job(connection)

    def _begin(self, connection: sqlite3.Connection) -> None:
        left = self._until - clock.monotonic()
        if left > WRITER_WAIT / 2:
            connection.execute("BEGIN IMMEDIATE")
            return
        connection.execute(f"PRAGMA busy_timeout={max(LEAST, left) * 1000:.0f}").close()
        try:
            connection.execute("BEGIN IMMEDIATE")
        finally:
            connection.execute(f"PRAGMA busy_timeout={WRITER_WAIT * 1000}").close()

    def leave(self, connection: sqlite3.Connection, *, keep: bool) -> None:
        if not connection.in_transaction:
            raise sqlite3.OperationalError("SQLite has rolled it back")
        if not keep:
            connection.execute("ROLLBACK TO part")
        connection.execute("RELEASE part")


class SharedCommits:
    """Gives the turns, and decides after whom to commit."""

    def __init__(self, worker: Worker) -> None:
        self._worker = worker
        self.listeners: list[Callable[[], None]] = []
        self._chores: deque[Chore] = deque()
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._taken = False
        self._joined = 0
        self._until = 0.0
        self._members: list[Member] = []  # the thread's: those whose parts have ended in the outer transaction

    @property
    def in_use(self) -> int:
        return int(self._taken)

    async def enter(self) -> Part:
        """Wait for the turn, which `leave` ends. Raises `Unreachable`."""
        part = Part(clock.monotonic() + WRITER_WAIT)
        if not self._taken:
            self._taken = True
            self._until = clock.monotonic() + LONGEST
            return part
        waiting: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(waiting)
        try:
            async with asyncio.timeout(WRITER_WAIT):
                await waiting
        except BaseException as error:
            if waiting.done() and not waiting.cancelled():  # given the turn in the moment of the cancellation
                self._end_turn()
            if isinstance(error, TimeoutError):
                raise Unreachable("the writer did not become free in time") from error
            raise
        return part

    def run[T](self, part: Part, job: Job[T]) -> asyncio.Future[T]:
        return self._worker.call(partial(part.run, job))

    async def leave(self, part: Part, *, keep: bool) -> None:
        """End the turn; returns when what it wrote, and what it has seen of the others, is on the disk."""
        member: Member = asyncio.get_running_loop().create_future()
        self._worker.post(partial(self._leave, part, member, keep=keep))
        self._joined += 1
        self._end_turn()
        await member

    def do_between(self, chore: Chore) -> None:
        """Let the writer do this after its next commit, before the next transaction begins."""
        self._chores.append(chore)

    def _end_turn(self) -> None:
        while self._waiting and self._waiting[0].done():  # cancelled
            self._waiting.popleft()
        if self._waiting and self._joined < MOST_MEMBERS and clock.monotonic() < self._until:
            self._waiting.popleft().set_result(None)
        else:
            self._worker.post(self._commit)

    def _after_commit(self, members: Sequence[Member], failure: BaseException | None) -> None:
        self._joined = 0
        self._until = clock.monotonic() + LONGEST
        while self._waiting and self._waiting[0].done():  # cancelled
            self._waiting.popleft()
        if self._waiting:
            self._waiting.popleft().set_result(None)
        else:
            self._taken = False
        self._resolve(members, failure)
        for listen in self.listeners:
            listen()

    def _resolve(self, members: Sequence[Member], failure: BaseException | None) -> None:
        for member in members:
            if member.done():
                continue
            if failure is None:
                member.set_result(None)
            else:
                member.set_exception(Unavailable(f"the shared commit failed: {failure}"))

    # In the writer's thread

    def _leave(self, part: Part, member: Member, *, keep: bool) -> None:
        self._members.append(member)
        connection = self._worker.connection
        if connection is None or not part.entered:
            return
        try:
            part.leave(connection, keep=keep)
        except BaseException as failure:  # noqa: BLE001 — it belongs to all who have joined
            self._roll_back(connection)
            self._worker.tell(partial(self._resolve, self._take_members(), failure))

    def _commit(self) -> None:
        failure = None
        connection = self._worker.connection
        if connection is not None and connection.in_transaction:
            try:
                connection.execute("COMMIT")
            except BaseException as error:  # noqa: BLE001 — it belongs to all who have joined
                failure = error
                self._roll_back(connection)
        self._worker.tell(partial(self._after_commit, self._take_members(), failure))
        while connection is not None and self._chores:
            with suppress(sqlite3.Error):  # it will be asked for again
                self._chores.popleft()(connection)

    def _take_members(self) -> list[Member]:
        members, self._members = self._members, []
        return members

    @staticmethod
    def _roll_back(connection: sqlite3.Connection) -> None:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
