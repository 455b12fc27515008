"""The bell where there is PostgreSQL and no Redis: LISTEN and NOTIFY on a connection of its own."""

import asyncio
from collections import deque
from collections.abc import Hashable, Mapping
from itertools import batched
from typing import Any
from uuid import UUID

import structlog

from doable.core.executors.postgres import standing
from doable.core.hub import LocalHub

CHANNEL = "doable"
BATCH = 100
"""Streams in one notification, which may have 8,000 bytes."""
INTERVAL = 0.005
"""Seconds between two notifications: what is announced meanwhile goes together, and one COMMIT at a time notifies."""
ALIVE_INTERVAL = 5.0
RETRY = 1.0
SAID = "doable_said"
PART = 1_900
"""Characters in one notification, each of up to four bytes."""
MOST_SAID = 100
LONGEST = 2**20

_log = structlog.get_logger(__name__)


class PostgresHub(LocalHub):
    """Carries numbers, and what is seldom said: what is said between people stays in this process."""

    def __init__(self, url: str) -> None:
        super().__init__()
        self._url = url
        self._raised: dict[UUID, int] = {}
        self._to_say: deque[str] = deque(maxlen=MOST_SAID)
        self._parts: dict[str, str] = {}
        self._wanted = asyncio.Event()
        self._connected = False
        self._own = 0  # the process of the server that says what we say
        self._task: asyncio.Task[None] | None = None

    @property
    def degraded(self) -> bool:
        return not self._connected

    def announce(self, announced: Mapping[Hashable, int]) -> None:
        super().announce(announced)
        if self._connected:
            self._raised |= {
                stream_id: number for stream_id, number in announced.items() if isinstance(stream_id, UUID)
            }
            self._wanted.set()

    def say_seldom(self, payload: bytes) -> None:
        if self._connected:
            self._to_say.append(payload.decode())
            self._wanted.set()

    async def start(self) -> None:
        self._task = asyncio.create_task(self._run(), name="hub")

    async def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    async def _run(self) -> None:
        while True:
            try:
                async with standing.connection(self._url, "doable hub") as connection:
                    self._own = connection.get_server_pid()
                    await connection.add_listener(CHANNEL, self._heard)
                    await connection.add_listener(SAID, self._heard_part)
                    self._connected = True
                    await self._ring(connection)
            except Exception as error:  # noqa: BLE001 — whatever it is, the next attempt may succeed
                _log.warning("hub_lost", reason=repr(error))
            finally:
                self._connected = False
            self._raised.clear()
            self._to_say.clear()
            self._parts.clear()
            await asyncio.sleep(RETRY)

    async def _ring(self, connection: Any) -> None:
        """Until the connection is lost, which is noticed when nothing happens, too."""
        while True:
            try:
                async with asyncio.timeout(ALIVE_INTERVAL):
                    await self._wanted.wait()
            except TimeoutError:
                await connection.execute("SELECT 1")
            self._wanted.clear()
            raised, self._raised = self._raised, {}
            for batch in batched(raised.items(), BATCH):
                payload = ",".join(f"{stream_id}:{revision}" for stream_id, revision in batch)
                await connection.execute("SELECT pg_notify($1, $2)", CHANNEL, payload)
            while self._to_say:
                await self._say(connection, self._to_say.popleft())
            await asyncio.sleep(INTERVAL)

    async def _say(self, connection: Any, text: str) -> None:
        """In parts, which arrive in order; the last one ends with a full stop."""
        parts = ["".join(part) for part in batched(text, PART)]
        for number, part in enumerate(parts, 1):
            end = "." if number == len(parts) else "-"
            await connection.execute("SELECT pg_notify($1, $2)", SAID, f"{self.process} {part}{end}")

    def _heard_part(self, _connection: object, _pid: int, _channel: str, payload: object) -> None:
        process, _, part = str(payload).partition(" ")
        if process == self.process:
            return
        said = self._parts.pop(process, "") + part[:-1]
        if part.endswith("."):
            self.hear_said(said.encode())
        elif len(said) < LONGEST and len(self._parts) < MOST_SAID:
            self._parts[process] = said
        else:
            _log.warning("hub_nonsense")

    def _heard(self, _connection: object, pid: int, _channel: str, payload: object) -> None:
        """Whoever may connect may notify: it proves nothing."""
        if pid == self._own:
            return
        for item in str(payload).split(","):
            stream_id, _, revision = item.partition(":")
            try:
                self.hear_moved(UUID(stream_id), int(revision))
            except ValueError:
                _log.warning("hub_nonsense")
