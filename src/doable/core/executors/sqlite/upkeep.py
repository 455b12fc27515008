"""What is done to a SQLite file now and then: its log goes into the file, its statistics are renewed."""

import asyncio
import sqlite3

from doable.core import clock
from doable.core.executors.sqlite.commits import SharedCommits
from doable.core.executors.sqlite.words import STATISTICS, WRITER_WAIT
from doable.core.executors.sqlite.worker import Worker

INTERVAL = 0.5
"""Seconds after a commit until the log is copied."""
LONG = 8192
"""Pages of the log from which the writer has to begin it anew."""
PATIENCE = 0.1
"""Seconds that the writer waits for readers when it does."""


class Upkeep:
    """Copies the log beside the writer. Under load it never ends so, because more is added while it is copied: then
    the writer pauses between two commits to begin it anew.
    """

    def __init__(self, own: Worker, commits: SharedCommits, *, renew_statistics: float) -> None:
        self._own, self._commits = own, commits
        self._timer: asyncio.TimerHandle | None = None
        self._renew = renew_statistics
        self._due = clock.monotonic() + renew_statistics

    def after_commit(self) -> None:
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(INTERVAL, self._start)
        if clock.monotonic() > self._due:
            self._due = clock.monotonic() + self._renew
            self._commits.do_between(_renew_statistics)

    async def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        await self._own.close()

    def _start(self) -> None:
        self._own.call(_copy_log).add_done_callback(self._copied)

    def _copied(self, copying: asyncio.Future[int]) -> None:
        self._timer = None
        if copying.exception() is None and copying.result() > LONG:
            self._commits.do_between(_begin_log_anew)


def _copy_log(connection: sqlite3.Connection) -> int:
    """The pages of the log."""
    _busy, pages, _copied = connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
    return int(pages)


def _begin_log_anew(connection: sqlite3.Connection) -> None:
    connection.execute(f"PRAGMA busy_timeout={PATIENCE * 1000:.0f}").close()
    connection.execute("PRAGMA wal_checkpoint(RESTART)").close()
    connection.execute(f"PRAGMA busy_timeout={WRITER_WAIT * 1000}").close()


def _renew_statistics(connection: sqlite3.Connection) -> None:
    connection.execute(f"PRAGMA {STATISTICS}").close()
