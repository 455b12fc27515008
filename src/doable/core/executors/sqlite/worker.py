"""A thread with a connection to SQLite; the event loop hands it jobs, which run in their order."""

import asyncio
import queue
import sqlite3
import threading
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import Any

type Job[T] = Callable[[sqlite3.Connection], T]
type _Outcome = tuple[asyncio.Future[Any], Any, BaseException | None]
type _Task = Callable[[], None]

CACHED_STATEMENTS = 512


class Worker:
    """Opens its connection with the first job and closes it in `close`, both in the thread."""

    def __init__(self, path: str, pragmas: Sequence[str], name: str) -> None:
        self._path, self._pragmas = path, pragmas
        self._loop = asyncio.get_running_loop()
        self._jobs: queue.SimpleQueue[_Task | None] = queue.SimpleQueue()
        self._outcomes: deque[_Outcome] = deque()
        self._ended = self._loop.create_future()
        self.connection: sqlite3.Connection | None = None
        threading.Thread(target=self._work, name=name, daemon=True).start()

    def call[T](self, job: Job[T]) -> asyncio.Future[T]:
        """Run the job; it runs even if the future is cancelled."""
        future: asyncio.Future[T] = self._loop.create_future()
        self._jobs.put(partial(self._run, future, job))
        return future

    def post(self, task: _Task) -> None:
        """Run in the thread what tells nobody how it ended; the connection may not be open."""
        self._jobs.put(task)

    def tell(self, listen: Callable[[], object]) -> None:
        """From the thread: call something in the event loop."""
        with suppress(RuntimeError):  # the loop has ended, and everybody in it
            self._loop.call_soon_threadsafe(listen)

    def interrupt(self) -> None:
        """Cut the running statement short."""
        if self.connection is not None:
            self.connection.interrupt()

    async def close(self) -> None:
        self._jobs.put(None)
        await self._ended

    def _work(self) -> None:
        while (task := self._jobs.get()) is not None:
            task()
            del task  # or it, and all that it holds, would live until the next one
        if self.connection is not None:
            self.connection.close()
        self.tell(partial(self._ended.set_result, None))

    def _run(self, future: asyncio.Future[Any], job: Job[Any]) -> None:
        result = failure = None
        try:
            result = job(self.connection or self._open())
        except BaseException as error:  # noqa: BLE001 — it belongs to who waits
            failure = error
        self._outcomes.append((future, result, failure))
        self.tell(self._deliver)

    def _open(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self._path, isolation_level=None, cached_statements=CACHED_STATEMENTS)
        try:
            for pragma in self._pragmas:
                connection.execute(f"PRAGMA {pragma}").close()
        except BaseException:
            connection.close()
            raise
        self.connection = connection
        return connection

    def _deliver(self) -> None:
        future, result, failure = self._outcomes.popleft()
        if future.done():
            return
        if failure is None:
            future.set_result(result)
        else:
            future.set_exception(failure)


def fetch(sql: str, args: Sequence[Any]) -> Job[list[tuple[Any, ...]]]:
    return lambda connection: connection.execute(sql, args).fetchall()


def change(sql: str, args: Sequence[Any]) -> Job[int]:
    def run(connection: sqlite3.Connection) -> int:
        cursor = connection.execute(sql, args)
        cursor.fetchall()  # with RETURNING, rows are counted as they are fetched
        changed = cursor.rowcount
        cursor.close()
        return changed

    return run


def change_each(bound: Sequence[tuple[str, Sequence[Any]]]) -> Job[bool]:
    """In their order, until one changes nothing: then it is `False`."""
    jobs = [change(sql, args) for sql, args in bound]
    return lambda connection: all(job(connection) for job in jobs)


def change_many(sql: str, sets: Sequence[Sequence[Any]]) -> Job[int]:
    return lambda connection: connection.executemany(sql, sets).rowcount
