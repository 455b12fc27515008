"""How workers count together: each tells Redis what it counted, and learns what all of them did.

Every `interval` one call says by how much this worker raised each key, and brings the level that all workers made.
So N workers admit in any time W at most `limit * (1 + W / period)`, and beyond it what N - 1 of them admit before
their next call; that excess is no present but a debt: the level stays beyond the period until it is paid.
"""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

import structlog

from doable.core.levels import SECOND, Levels, now

if TYPE_CHECKING:
    from redis.asyncio import Redis

MAX_BATCH = 1_000
"""Keys told, and keys asked for, in one call: Redis serves nobody else meanwhile. The others wait for the next."""
CALL_TIMEOUT = 0.12
"""Seconds for one call. Who asks waits for two at most: the running one and its own."""
MAX_FAILURES = 3
"""Failed calls in a row after which Redis is left alone, but for an empty call every `PROBE_INTERVAL` seconds."""
PROBE_INTERVAL = 1.0
PROBE_TIMEOUT = 1.0
"""Seconds for such a call, for which nobody waits: it has to connect and to bring the script as well."""

_UNLIMITED = 10**18

# A level is kept with the time at which it held, not as the instant of its end: where the server's clock is set back,
# no time has passed, and nobody is locked out until it has caught up.
_CALL = """
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local levels = {}
for i, key in ipairs(KEYS) do
  local known, added, room = tonumber(ARGV[3 * i - 2]), tonumber(ARGV[3 * i - 1]), tonumber(ARGV[3 * i])
  local level = known
  local stored = redis.call('GET', key)
  if stored then
    local at, was = string.match(stored, '^(%d+) (%d+)$')
    level = math.max(known, was - math.max(0, now - at) * 1000)
  end
  levels[i] = level
  if level + added <= room then
    level = level + added
  end
  if level > 0 then
    redis.call('SET', key, string.format('%.0f %.0f', now, level), 'PX', math.ceil(level / 1000000))
  elseif stored then
    redis.call('DEL', key)
  end
end
return levels
"""

_log = structlog.get_logger()


class _Entry(NamedTuple):
    """One key of a call: its level is `known` at least, and is raised by `added` if that leaves it within `room`."""

    key: str
    known: int
    added: int
    room: int

    def after(self, level: int) -> int:
        return level + self.added if level + self.added <= self.room else level


class _Ask(NamedTuple):
    key: str
    step: int
    room: int
    answer: asyncio.Future[int | None]

    def settle(self, level: int | None) -> None:
        if not self.answer.done():
            self.answer.set_result(level)


class Exchange:
    """The one task that talks to Redis: a request that is cancelled or late cannot upset a connection."""

    def __init__(self, redis: "Redis", levels: Levels, prefix: str, interval: float) -> None:
        self._script = redis.register_script(_CALL)
        self._levels = levels
        self._prefix = prefix
        self._interval = interval
        self._failures = MAX_FAILURES
        self._asks: list[_Ask] = []
        self._wanted = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    @property
    def away(self) -> bool:
        return self._failures >= MAX_FAILURES

    async def start(self) -> None:
        await self._exchange([], [])
        self._task = asyncio.create_task(self._run(), name="limits.exchange")

    async def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
        self._failures = MAX_FAILURES
        self._dismiss()

    async def ask(self, key: str, step: int, room: int) -> int | None:
        """Raise a key's level at once, within `room`. Its level before that; `None` where Redis gave no answer."""
        if self.away or len(self._asks) >= MAX_BATCH:
            return None
        ask = _Ask(key, step, room, asyncio.get_running_loop().create_future())
        self._asks.append(ask)
        self._wanted.set()
        return await ask.answer

    async def _run(self) -> None:
        while True:
            if self.away:
                await asyncio.sleep(PROBE_INTERVAL)
                await self._exchange([], [])
                continue
            with suppress(TimeoutError):
                async with asyncio.timeout(self._interval):
                    await self._wanted.wait()
            self._wanted.clear()
            asks, self._asks = self._asks, []
            await self._exchange(self._untold(), asks)

    def _untold(self) -> list[_Entry]:
        time = now()
        return [
            _Entry(key, self._known(key, time), added, _UNLIMITED)
            for key, added in self._levels.untold(MAX_BATCH, time)
        ]

    def _known(self, key: str, time: int) -> int:
        """What Redis should know already: makes good what a flush, a restart or a failed call has lost."""
        # Less one interval: the level falls while it travels, and may not arrive above the true one.
        # What was given back lowers it by another entry of the same call: it may not be raised by this one again.
        known = min(self._levels.told(key, time), self._levels.get(key, time))
        return max(0, known - int(self._interval * SECOND))

    async def _exchange(self, untold: list[_Entry], asks: list[_Ask]) -> None:
        sent = now()
        entries = [*untold, *(_Entry(ask.key, self._known(ask.key, sent), ask.step, ask.room) for ask in asks)]
        for entry in untold:
            # Before the call, as its outcome may stay unknown: told twice would refuse people who did nothing.
            self._levels.tell(entry.key)
        try:
            levels = await self._call(entries)
            for entry, level in zip(entries, levels, strict=True):
                self._levels.learn(entry.key, sent + entry.after(level), now())
            for ask, level in zip(asks, levels[len(untold) :], strict=True):
                ask.settle(level)
        except Exception as error:  # noqa: BLE001 — whatever Redis does, requests go on
            self._failed(error)
        else:
            self._succeeded()
        finally:
            for ask in asks:
                ask.settle(None)

    async def _call(self, entries: list[_Entry]) -> Sequence[int]:
        async with asyncio.timeout(PROBE_TIMEOUT if self.away else CALL_TIMEOUT):
            levels: list[int] = await self._script(
                keys=[self._prefix + entry.key for entry in entries],
                args=[number for entry in entries for number in (entry.known, entry.added, entry.room)],
            )
        return levels

    def _succeeded(self) -> None:
        if self.away:
            _log.info("limits.shared")
        self._failures = 0

    def _failed(self, error: Exception) -> None:
        self._failures += 1
        if self._failures == MAX_FAILURES:
            _log.warning("limits.redis_away", error=repr(error))
        if self.away:
            self._dismiss()

    def _dismiss(self) -> None:
        while self._asks:
            self._asks.pop().settle(None)
