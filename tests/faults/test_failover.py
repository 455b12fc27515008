"""A PostgreSQL that is started again, or whose replica takes its place, while people write."""

import asyncio
import signal
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support import configuration, replicas, systems
from tests.support.attacks import Row
from tests.support.faultproxy import BOTH
from tests.support.postgres import Postgres
from tests.support.replicas import Pair
from tests.support.systems import System

pytestmark = [pytest.mark.slow, pytest.mark.fault, pytest.mark.timeout(240)]
RECOVERY = 5.0
SILENT = 9.0
"""Seconds: longer than any commit is waited for."""


@pytest.fixture
async def pair() -> AsyncIterator[Pair]:
    async with replicas.paired() as pair:
        yield pair


@pytest.fixture
async def system(pair: Pair, tmp_path: Path) -> AsyncIterator[System]:
    settings = configuration.make_settings(pair.primary.url(), tmp_path / "data")
    async with systems.shared(settings, tmp_path, pair.primary) as system:
        yield system


async def test_f5_postgresql_is_restarted(two_workers: System, victim: Postgres, row: Row) -> None:
    async with row.attack("F5 restart -m fast", two_workers) as attack:
        await asyncio.to_thread(victim.stop)
        await asyncio.to_thread(victim.start)
        await attack.lift()
        assert attack.recovery is not None
        assert attack.recovery < RECOVERY


@pytest.mark.parametrize("silent", [0.0, SILENT], ids=["in step", "silent"])
async def test_f5_a_replica_takes_over_and_nothing_is_lost(system: System, pair: Pair, row: Row, silent: float) -> None:
    async with row.attack("F5 failover", system) as attack:
        attack.slowest = 12.0  # a commit is waited for for six
        if silent:
            pair.link.swallows = BOTH
            await asyncio.sleep(0.5)
            began = time.monotonic()
            await asyncio.sleep(silent)
            assert [entry.title for entry in attack.ledger.entries if entry.acknowledged > began] == []
        pair.primary.stop(signal.SIGKILL)
        pair.link.reset()
        await asyncio.to_thread(pair.promote)
        _switch(system, pair)
        await attack.lift()
        attack.note = f"the replica had heard nothing for {silent:g} s" if silent else ""
        assert attack.recovery is not None
        assert attack.recovery < RECOVERY


async def test_f5_primary_and_replica_change_places(system: System, pair: Pair, row: Row) -> None:
    """Behind an address that leads to the old one for some seconds, and leaves connections open that lead there."""
    async with row.attack("F5 switchover", system) as attack:
        await asyncio.to_thread(pair.primary.stop)
        await asyncio.to_thread(pair.promote)
        await asyncio.to_thread(pair.demote)
        await asyncio.sleep(3)
        _switch(system, pair)
        await attack.lift()
        assert await _connections(pair.primary) == 0
        attack.note = f"{attack.ledger.statuses()[503]} requests met a server that only reads"
        assert attack.recovery is not None
        assert attack.recovery < RECOVERY


def _switch(system: System, pair: Pair) -> None:
    system.database.upstream = pair.replica.port
    system.direct_url = pair.replica.url()


async def _connections(server: Postgres) -> int:
    """Ours."""
    async with server.connected("postgres") as connection:
        count: int = await connection.fetchval(
            "SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'doable%'"
        )
    return count
