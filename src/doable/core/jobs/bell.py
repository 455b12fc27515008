"""What wakes a worker that waits: this process's own commits, and with Redis those of others.

Nothing rests on it. A worker that hears no bell looks into the table every second.
"""

import asyncio
from collections.abc import Awaitable, Hashable, Iterable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, cast

import structlog

from doable.core.jobs import Enqueued

if TYPE_CHECKING:
    from redis.asyncio import Redis

CALL_SECONDS = 0.25
LISTEN_SECONDS = 1.0
PAUSE_SECONDS = 1.0
"""How long Redis is left alone after a failure; the table is looked into as often."""
MOST = 100
"""Ids that wait in a list of Redis for workers who are all busy."""

_log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)


class Bell:
    """`redis` tells other processes, `ear` hears from them; a blocking call needs a client of its own.

    `keys`: what their lists begin with in Redis, which other installations may use, too.
    """

    def __init__(self, redis: "Redis | None" = None, ear: "Redis | None" = None, *, keys: str = "doable:") -> None:
        self._redis = redis
        self._ear = ear
        self._keys = keys
        self._rung = asyncio.Event()
        self._untold: list[Enqueued] = []
        self._something_untold = asyncio.Event()
        self._away = False
        self._tasks: list[asyncio.Task[None]] = []

    def hear(self, announced: Mapping[Hashable, int]) -> None:
        """A listener of the database."""
        enqueued = [what for what in announced if isinstance(what, Enqueued)]
        if not enqueued:
            return
        self.ring()
        if self._redis is not None and not self._away:
            self._untold += enqueued[: MOST - len(self._untold)]
            self._something_untold.set()

    def ring(self) -> None:
        self._rung.set()

    async def wait(self, seconds: float) -> None:
        """Until the bell rings, or so long."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._rung.wait()
        self._rung.clear()

    async def start(self) -> None:
        """Tell other processes what is enqueued in this one."""
        if self._redis is not None:
            self._tasks.append(asyncio.create_task(self._tell_always(self._redis), name="jobs bell"))

    def listen(self, queues: Iterable[str]) -> None:
        """Ring when another process has enqueued something."""
        if self._ear is not None:
            names = [self._list(queue) for queue in queues]
            self._tasks.append(asyncio.create_task(self._listen_always(self._ear, names), name="jobs ear"))

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _tell_always(self, redis: "Redis") -> None:
        while True:
            await self._something_untold.wait()
            self._something_untold.clear()
            untold, self._untold = self._untold, []
            try:
                async with asyncio.timeout(CALL_SECONDS):
                    await self._tell(redis, untold)
                self._away = False
            except Exception as error:  # noqa: BLE001 — whatever Redis does, workers look into the table
                _log.warning("jobs.redis_away", error=repr(error))
                self._away = True
                await asyncio.sleep(PAUSE_SECONDS)
                self._away = False

    async def _listen_always(self, ear: "Redis", lists: list[str]) -> None:
        while True:
            try:
                async with asyncio.timeout(LISTEN_SECONDS + CALL_SECONDS):
                    heard = await cast("Awaitable[object]", ear.blpop(lists, LISTEN_SECONDS))
            except Exception:  # noqa: BLE001 — as above; who tells has logged it
                await asyncio.sleep(PAUSE_SECONDS)
            else:
                if heard:
                    self.ring()

    async def _tell(self, redis: "Redis", enqueued: list[Enqueued]) -> None:
        ids: dict[str, list[str]] = {}
        for what in enqueued:
            ids.setdefault(what.queue, []).append(str(what.job_id))
        pipeline = redis.pipeline(transaction=False)
        for queue, told in ids.items():
            pipeline.rpush(self._list(queue), *told)
            pipeline.ltrim(self._list(queue), -MOST, -1)
        await pipeline.execute()

    def _list(self, queue: str) -> str:
        return f"{self._keys}queue:{queue}"
