"""The bell where there is Redis: one channel that every process of the instance publishes to and hears."""

import asyncio
from collections import deque
from collections.abc import Hashable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING
from uuid import UUID

import orjson
import structlog

from doable.core.hub import LocalHub
from doable.core.redis import keys_of

if TYPE_CHECKING:
    from redis.asyncio import Redis
    from redis.asyncio.client import PubSub

INTERVAL = 0.002
"""Seconds between two messages to Redis: what is told meanwhile goes together."""
ALIVE_INTERVAL = 1.0
RETRY = 1.0
MOST_SAID = 1_000
"""Things said that wait for Redis; the oldest are dropped."""
PUBLISH_TIMEOUT = 0.5

_log = structlog.get_logger(__name__)


class RedisHub(LocalHub):
    """While Redis is away nothing waits for it, and what is said in the meantime stays in this process."""

    def __init__(self, redis: "Redis", epoch: str) -> None:
        super().__init__()
        self._redis = redis
        self._channel = f"{keys_of(epoch)}hub"  # a channel belongs to all databases of a Redis, and so to all instances
        self._raised: dict[str, int] = {}
        self._to_say: deque[str] = deque(maxlen=MOST_SAID)
        self._wanted = asyncio.Event()
        self._speaks = self._hears = False
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def degraded(self) -> bool:
        return not (self._speaks and self._hears)

    def announce(self, announced: Mapping[Hashable, int]) -> None:
        super().announce(announced)
        if self._speaks:
            self._raised |= {str(stream_id): n for stream_id, n in announced.items() if isinstance(stream_id, UUID)}
            self._wanted.set()

    def say(self, payload: bytes) -> None:
        if self._speaks:
            self._to_say.append(payload.decode())
            self._wanted.set()

    async def start(self) -> None:
        self._tasks = [
            asyncio.create_task(self._speak(), name="hub.speak"),
            asyncio.create_task(self._listen(), name="hub.listen"),
        ]

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _speak(self) -> None:
        while True:
            try:
                await self._publish()
            except Exception as error:  # noqa: BLE001 — whatever it is, the next attempt may succeed
                self._lost("hub_mute", error, was=self._speaks)
                self._speaks = False
                self._raised.clear()
                self._to_say.clear()
                await asyncio.sleep(RETRY)
                continue
            self._speaks = True
            await asyncio.sleep(INTERVAL)
            with suppress(TimeoutError):
                async with asyncio.timeout(ALIVE_INTERVAL):
                    await self._wanted.wait()
            self._wanted.clear()

    async def _publish(self) -> None:
        """With nothing to tell, whether Redis is there."""
        raised, self._raised = self._raised, {}
        said = list(self._to_say)
        self._to_say.clear()
        async with asyncio.timeout(PUBLISH_TIMEOUT):
            told = {"process": self.process, "raised": raised, "said": said}
            await self._redis.publish(self._channel, orjson.dumps(told))

    async def _listen(self) -> None:
        while True:
            try:
                async with self._redis.pubsub(ignore_subscribe_messages=True) as channel:
                    await channel.subscribe(self._channel)
                    self._hears = True
                    await self._hear(channel)
            except Exception as error:  # noqa: BLE001 — whatever it is, the next attempt may succeed
                self._lost("hub_deaf", error, was=self._hears)
            finally:
                self._hears = False
            await asyncio.sleep(RETRY)

    async def _hear(self, channel: "PubSub") -> None:
        """Until Redis is gone, or silent for longer than our own messages take to come back."""
        silent = 0
        while silent < 3:  # noqa: PLR2004 — a call or two may be late
            message = await channel.get_message(timeout=ALIVE_INTERVAL)
            if message is None:
                silent += 1
                continue
            silent = 0
            try:
                self._take(orjson.loads(message["data"]))
            except (ValueError, KeyError, TypeError):
                _log.warning("hub_nonsense")

    def _take(self, told: dict[str, object]) -> None:
        if told["process"] == self.process:
            return
        raised, said = told["raised"], told["said"]
        if isinstance(raised, dict) and isinstance(said, list):
            for stream_id, revision in raised.items():
                self.hear_moved(UUID(stream_id), int(revision))
            for payload in said:
                self.hear_said(payload.encode())

    def _lost(self, event: str, error: Exception, *, was: bool) -> None:
        if was:
            _log.warning(event, reason=repr(error))
