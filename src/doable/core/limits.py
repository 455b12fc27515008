"""How often somebody may do something: budgets, counted in this process and, with Redis, by all workers together.

A key has a *level*: the time until its budget is whole again if nobody uses it. A hit raises the level by
`period / limit` and is refused where that would exceed `period`; the clock lowers it (GCRA). Times are nanoseconds.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from doable.core.exchange import Exchange
from doable.core.levels import SECOND, Levels, now

if TYPE_CHECKING:
    from redis.asyncio import Redis


class Budget:
    """`limit` hits in `period` seconds, all at once if need be: each is a `step` of what there is `room` for."""

    __slots__ = ("limit", "period", "room", "step")

    def __init__(self, limit: int, period: float) -> None:
        self.limit, self.period = limit, period
        self.room = int(period * SECOND)
        self.step = self.room // limit


@dataclass(slots=True)
class Decision:
    """`reset`: seconds until the budget is whole again; `retry_after`: seconds until a hit may succeed again."""

    allowed: bool
    limit: int
    remaining: int
    reset: int
    retry_after: int


class Limiter:
    """Counts hits of keys. A key is always used with one budget."""

    def __init__(self, redis: "Redis | None" = None, *, keys: str = "doable:", interval: float = 0.1) -> None:
        self._levels = Levels(shared=redis is not None)
        self._exchange = None if redis is None else Exchange(redis, self._levels, f"{keys}limit:", interval)

    @property
    def degraded(self) -> bool:
        """Whether workers should count together but cannot: Redis is configured and away."""
        return self._exchange is not None and self._exchange.away

    def hit(self, key: str, budget: Budget) -> Decision:
        """Count a hit by what this process knows. A refused hit costs nothing."""
        time = now()
        level = self._levels.get(key, time)
        decision = _decide(level, budget)
        self._levels.add(key, time + level, budget.step if decision.allowed else 0, time)
        return decision

    async def hit_shared(self, key: str, budget: Budget) -> Decision:
        """Count a hit by what all workers know now; as `hit` does while Redis is away."""
        if self._exchange is not None and _decide(self._levels.get(key, now()), budget).allowed:
            level = await self._exchange.ask(key, budget.step, budget.room)
            if level is not None:
                return _decide(level, budget)
        return self.hit(key, budget)

    def give_back(self, key: str, budget: Budget) -> None:
        """Take back a hit that has come to nothing."""
        time = now()
        self._levels.add(key, time + self._levels.get(key, time), -budget.step, time)

    async def start(self) -> None:
        if self._exchange is not None:
            await self._exchange.start()

    async def close(self) -> None:
        """Leave Redis; from now on this process counts alone. The client stays open: it is its owner's."""
        if self._exchange is not None:
            await self._exchange.close()


def _decide(level: int, budget: Budget) -> Decision:
    after = level + budget.step
    beyond = after - budget.room
    if beyond > 0:
        return Decision(False, budget.limit, 0, _seconds(level), _seconds(beyond))  # noqa: FBT003 — not allowed
    return Decision(True, budget.limit, -beyond // budget.step, _seconds(after), 0)  # noqa: FBT003 — allowed


def _seconds(duration: int) -> int:
    """Rounded up."""
    return -(-duration // SECOND)
