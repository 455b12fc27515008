"""Redis that dies, hangs, forgets or is cut off: no request notices, and rooms go on."""

import asyncio
import signal
import time
from pathlib import Path

import pytest

from doable.settings import Settings
from tests.support import systems
from tests.support.attacks import Attack, Row
from tests.support.faultproxy import BOTH, Way
from tests.support.postgres import Postgres
from tests.support.systems import System, health

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]
SLOWER = 2.0
"""Seconds by which no call may be slower; half a second on a machine that has nothing else to do."""


@pytest.mark.parametrize(
    "how", ["hangs", pytest.param("is cut off", marks=pytest.mark.fault), pytest.param("dies", marks=pytest.mark.fault)]
)
async def test_f12_redis_is_away_and_comes_back(two_workers: System, row: Row, how: str) -> None:
    system = two_workers
    number = "F11" if how == "dies" else "F12"
    async with row.attack(f"{number} Redis {how}", system, hooks=False) as attack:
        await systems.eventually(lambda: _status(system), "ok", 60)
        began = time.monotonic()
        _take_away(system, how)
        await systems.eventually(lambda: _status(system), "degraded", 60)
        noticed = time.monotonic() - began
        assert (await log_in(attack)) < SLOWER
        await asyncio.sleep(2)
        away = time.monotonic() - began
        _bring_back(system, how)
        returned = time.monotonic()
        await attack.lift()
        await systems.eventually(lambda: _status(system), "ok", 60)
        within = [one.seconds for one in attack.ledger.attempts if began <= one.began < began + away]
        before = [one.seconds for one in attack.ledger.attempts if one.began < began]
        attack.note = (
            f"degraded after {noticed:.1f} s, shared again after {time.monotonic() - returned:.1f} s; "
            f"slowest write {max(within):.2f} s, before it {max(before):.2f} s"
        )
        assert max(within) < max(before) + SLOWER


@pytest.mark.fault
async def test_f11_redis_is_not_there_at_the_start(
    postgres_settings: Settings, victim: Postgres, tmp_path: Path, row: Row
) -> None:
    async with systems.shared(postgres_settings, tmp_path, victim, start=False) as system:
        system.redis.refuses = True
        await system.start()
        try:
            async with row.attack("F11 no Redis at the start", system, hooks=False) as attack:
                assert await _status(system) == "degraded"
                system.redis.refuses = False
                await attack.lift()
                returned = time.monotonic()
                await systems.eventually(lambda: _status(system), "ok", 60)
                attack.note = f"shared after {time.monotonic() - returned:.1f} s"
        finally:
            await system.end()


@pytest.mark.fault
@pytest.mark.parametrize("how", ["FLUSHALL", "restart without data"])
async def test_f13_redis_forgets_everything(two_workers: System, row: Row, how: str) -> None:
    system = two_workers
    async with row.attack(f"F13 {how}", system) as attack:
        for _ in range(3):
            await asyncio.sleep(0.5)
            if how == "FLUSHALL":
                with system.valkey.client() as client:
                    client.flushall()
            else:
                _take_away(system, "dies")
                await asyncio.to_thread(_bring_back, system, "dies")
            await attack.lift()
        await systems.eventually(lambda: _status(system), "ok", 60)


@pytest.mark.fault
async def test_f14_what_redis_was_to_tell_is_lost_on_the_way(two_workers: System, row: Row) -> None:
    async with row.attack("F14 subscribers cut off", two_workers, hooks=False) as attack:
        for _ in range(15):
            await asyncio.sleep(0.2)
            two_workers.redis.reset()
        await attack.lift()
        lag = await _lag(attack)
        attack.note = f"15 cuts; the last event told {lag:.1f} s after its write at most"
        assert lag < 6


@pytest.mark.fault
@pytest.mark.parametrize("way", ["up", "down"])
async def test_f15_one_of_two_workers_is_cut_off_from_redis(
    postgres_settings: Settings, victim: Postgres, tmp_path: Path, row: Row, way: Way
) -> None:
    async with (
        systems.shared(postgres_settings, tmp_path, victim) as system,
        row.attack(f"F15 half open to Redis, {way}", system, hooks=False) as attack,
    ):
        system.redis.swallows = frozenset({way})
        await asyncio.sleep(1)
        lag = await _lag(attack)
        await asyncio.sleep(3)
        system.redis.swallows = frozenset()
        await attack.lift()
        attack.note = f"an event told {lag:.1f} s after its write at most"
        assert lag < 6


async def _lag(attack: Attack) -> float:
    """How long after a write every room and every poller has its event."""
    longest = 0.0
    for list_id in attack.ledger.list_ids:
        began = time.monotonic()
        made = await attack.ledger.send("POST", "/todos", {"title": f"told {began}", "list_id": list_id}, {})
        assert made is not None
        revision = int(made.headers["doable-position"].partition(":")[2])
        copies = [follower.copy for follower in attack.ledger.followers if follower.list_id == list_id]
        await systems.wait_until(lambda: all(copy.revision >= revision for copy in copies))  # noqa: B023
        longest = max(longest, time.monotonic() - began)
    return longest


async def log_in(attack: Attack) -> float:
    """Logins are counted by all workers together; how long one takes, beside its hash."""
    began = time.monotonic()
    await attack.ledger.person.log_in()
    return time.monotonic() - began


def _take_away(system: System, how: str) -> None:
    if how == "hangs":
        system.redis_process.send_signal(signal.SIGSTOP)
    elif how == "dies":
        system.redis_process.send_signal(signal.SIGKILL)
        system.redis_process.wait()
    else:
        system.redis.swallows = BOTH


def _bring_back(system: System, how: str) -> None:
    if how == "hangs":
        system.redis_process.send_signal(signal.SIGCONT)
    elif how == "dies":
        system.valkey._process = None
        system.valkey.start()
    else:
        system.redis.swallows = frozenset()


async def _status(system: System) -> str:
    return (await health(system))[1]
