"""How workers know of each other who is alive: by a lock that goes with its process, however that ends.

A clock could not tell who has died from who is slow. What is paused, or whose event loop stands still, has its lock.
"""

import asyncio
import fcntl
import os
import secrets
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path
from typing import cast

import structlog
from sqlalchemy import text

from doable.core.executors.postgres import standing
from doable.core.queries import Query, Reader

SPACE = 0xD0AB
"""Of all advisory locks of a database, those of workers."""
ALIVE_SECONDS = 5.0
RETRY_SECONDS = 0.1
"""Shorter than others look again before they believe that a process is gone."""
START_SECONDS = 2.0

_PRESENT: Query[int] = Query(
    lambda row: cast("int", row[0]),
    text(
        "SELECT objid::bigint FROM pg_locks"  # noqa: S608 — a number of ours
        f" WHERE locktype = 'advisory' AND classid = {SPACE} AND objsubid = 2"
        " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
    ),
)

_log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)


class Presence:
    """Of a worker of which only its leases tell: that it has died is seen when they end."""

    @property
    def number(self) -> int | None:
        """Under which others find this process alive; `None`: they cannot tell."""
        return None

    async def start(self) -> None: ...

    async def close(self) -> None: ...

    async def gone(self, numbers: Collection[int]) -> set[int]:
        """Those of them that no process has; never this one's own."""
        del numbers
        return set()


class FilePresence(Presence):
    """A locked file beside that of SQLite."""

    def __init__(self, database: Path) -> None:
        self._database = database
        self._number = _new_number()
        self._handle: int | None = None

    @property
    def number(self) -> int | None:
        return None if self._handle is None else self._number

    async def start(self) -> None:
        self._handle = await asyncio.to_thread(self._hold)

    async def close(self) -> None:
        handle, self._handle = self._handle, None
        if handle is not None:
            await asyncio.to_thread(_remove, self._path(self._number), handle)

    def _hold(self) -> int:
        for left in self._database.parent.glob(f"{self._database.name}-worker-*"):
            if (handle := _locked(left)) is not None:
                _remove(left, handle)
        path = self._path(self._number)
        while True:
            path.touch(0o600)
            handle = _locked(path)
            if handle is not None and path.exists():
                return handle
            if handle is not None:  # somebody who tidied up was faster
                os.close(handle)

    async def gone(self, numbers: Collection[int]) -> set[int]:
        return {number for number in numbers if not _is_locked(self._path(number))}

    def _path(self, number: int) -> Path:
        return self._database.with_name(f"{self._database.name}-worker-{number:08x}")


class PostgresPresence(Presence):
    """An advisory lock of a session that lives as long as the process."""

    def __init__(self, url: str, reads: Reader) -> None:
        self._url = url
        self._reads = reads
        self._number = _new_number()
        self._held = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    @property
    def number(self) -> int | None:
        return self._number if self._held.is_set() else None

    async def start(self) -> None:
        self._task = asyncio.create_task(self._hold_always(), name="worker's presence")
        with suppress(TimeoutError):
            async with asyncio.timeout(START_SECONDS):
                await self._held.wait()

    async def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    async def gone(self, numbers: Collection[int]) -> set[int]:
        present = await self._reads.all(_PRESENT)
        return set(numbers).difference(present, {self._number})

    async def _hold_always(self) -> None:
        """Under the same number when the connection was lost: what runs is this process's still."""
        while True:
            try:
                await self._hold()
            except Exception as error:  # noqa: BLE001 — whatever it is, the next attempt may succeed
                if self._held.is_set():
                    _log.warning("worker_presence_lost", reason=repr(error))
            finally:
                self._held.clear()
            await asyncio.sleep(RETRY_SECONDS)

    async def _hold(self) -> None:
        lost = asyncio.Event()
        async with standing.connection(self._url, "doable worker") as connection:
            connection.add_termination_listener(lambda _: lost.set())
            # Shared: the server may not know yet that the last connection is lost.
            await connection.execute("SELECT pg_advisory_lock_shared($1, $2)", SPACE, self._number)
            self._held.set()
            while True:
                with suppress(TimeoutError):
                    async with asyncio.timeout(ALIVE_SECONDS):
                        await lost.wait()
                await connection.execute("SELECT 1")  # raises when it is lost, which nobody may have told


def _new_number() -> int:
    return secrets.randbits(31)


def _locked(path: Path) -> int | None:
    """An open file that nobody else has locked."""
    try:
        handle = os.open(path, os.O_RDWR)
    except (FileNotFoundError, PermissionError):  # it is gone, or somebody else's
        return None
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(handle)
        return None
    return handle


def _remove(path: Path, handle: int) -> None:
    path.unlink(missing_ok=True)
    os.close(handle)


def _is_locked(path: Path) -> bool:
    handle = _locked(path)
    if handle is not None:
        os.close(handle)
        return False
    return path.exists()
