"""What tests stand on: a client that is no kinder than production, settings that come from nowhere else."""

import os
import subprocess
import sys
from pathlib import Path

import asyncpg
import httpx2
import pytest
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from doable.settings import Settings
from tests.support import applications, configuration, servers
from tests.support.asgi import Running, Transport
from tests.support.databases import Migrated
from tests.support.postgres import Postgres


def answering(*messages: Message) -> ASGIApp:
    async def app(_scope: Scope, _receive: Receive, send: Send) -> None:
        for message in messages:
            await send(message)

    return app


def start(status: int = 200, **headers: str) -> Message:
    pairs = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    return {"type": "http.response.start", "status": status, "headers": pairs}


def body(content: bytes, *, more: bool = False) -> Message:
    return {"type": "http.response.body", "body": content, "more_body": more}


async def get(app: ASGIApp, method: str = "GET") -> httpx2.Response:
    async with httpx2.AsyncClient(transport=Transport(app), base_url="http://testserver") as client:
        return await client.request(method, "/")


@pytest.mark.parametrize(
    ("method", "app"),
    [
        pytest.param("GET", answering(start(content_length="2"), body(b"ok")), id="whole"),
        pytest.param("GET", answering(start(), body(b"o", more=True), body(b"k")), id="in pieces"),
        pytest.param("GET", answering(start(204), body(b"")), id="without a body"),
        pytest.param("HEAD", answering(start(content_length="2"), body(b"")), id="to HEAD"),
    ],
)
async def test_a_correct_answer_passes(method: str, app: ASGIApp) -> None:
    assert (await get(app, method)).is_success


@pytest.mark.parametrize(
    "app",
    [
        pytest.param(answering(start(content_length="3"), body(b"ok")), id="shorter than its length"),
        pytest.param(answering(start(content_length="1"), body(b"ok")), id="longer than its length"),
        pytest.param(answering(start(204), body(b"ok")), id="a body with 204"),
        pytest.param(answering(start(Content_Type="x"), body(b"")), id="a header in upper case"),
        pytest.param(answering(start(), body(b"o", more=True)), id="never finished"),
        pytest.param(answering(start()), id="no body message"),
        pytest.param(answering(start(), body(b""), body(b"")), id="more after the end"),
        pytest.param(answering(body(b"ok")), id="a body before its start"),
    ],
)
async def test_an_answer_that_uvicorn_would_not_send_does_not_pass(app: ASGIApp) -> None:
    with pytest.raises((AssertionError, httpx2.RemoteProtocolError)):
        await get(app)


async def test_an_exception_before_the_answer_is_a_500_and_one_within_it_cuts_it_off() -> None:
    async def fails(_scope: Scope, _receive: Receive, _send: Send) -> None:
        raise OSError

    async def fails_late(_scope: Scope, _receive: Receive, send: Send) -> None:
        await send(start())
        raise OSError

    assert (await get(fails)).status_code == 500
    with pytest.raises(httpx2.RemoteProtocolError):
        await get(fails_late)


async def test_a_request_gets_a_copy_of_the_lifespans_state() -> None:
    seen = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            scope["state"]["door"] = "open"
            for phase in ("startup", "shutdown"):
                await receive()
                await send({"type": f"lifespan.{phase}.complete"})
        else:
            seen.append(dict(scope["state"]))
            scope["state"]["door"] = "shut"
            await answering(start(), body(b""))(scope, receive, send)

    async with Running(app) as running:
        await get(running)
        await get(running)
    assert seen == [{"door": "open"}] * 2


async def test_an_app_that_fails_to_start_says_why() -> None:
    async def app(_scope: Scope, receive: Receive, _send: Send) -> None:
        await receive()
        message = "no database"
        raise RuntimeError(message)

    with pytest.raises(RuntimeError, match="no database"):
        async with Running(app):
            pass


def test_settings_travel_to_a_process_and_arrive_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = configuration.make_settings(
        "sqlite:///x.db",
        tmp_path,
        cors_origins="https://a.example,https://b.example",
        metrics_token="x" * 32,
        debug=True,
    )
    for name, value in configuration.environment(settings).items():
        monkeypatch.setenv(name, value)
    assert Settings(_env_file=None) == settings


def test_a_developers_own_settings_decide_no_test(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("Debug", "true")
    configuration.forget()
    assert not Settings(_env_file=None).debug
    assert "Debug" not in os.environ


def test_what_tests_would_do_again_and_again_is_done_once() -> None:
    """Certificates are read, and modules are compiled: for each client, in each started process."""
    assert httpx2.create_ssl_context() is httpx2.create_ssl_context()
    compiled = "import doable, pathlib; print(pathlib.Path(doable.__cached__).exists())"
    shown = subprocess.run(
        [sys.executable, "-c", compiled], env=servers._bare_environment(), stdout=subprocess.PIPE, check=True
    )
    assert shown.stdout == b"True\n"


async def test_a_database_that_comes_back_is_emptied_for_the_next(migrated: Migrated, postgres: Postgres) -> None:
    with migrated.lent() as url:
        name = url.rpartition("/")[2]
        before = await _rows(postgres, name)
        postgres.execute("INSERT INTO streams (id, revision) VALUES (gen_random_uuid(), 1)", name)
        postgres.execute("UPDATE instance SET epoch = 'another'", name)
        left = await asyncpg.connect(url)  # with a transaction that would hold up whoever writes
        await left.execute("BEGIN; LOCK TABLE todos")
        assert await _rows(postgres, name, "streams", "instance") != before
    with migrated.lent() as again:
        assert again == url
        assert await _rows(postgres, name) == before
    left.terminate()


@pytest.mark.parametrize(
    "change", ["CREATE TABLE x ()", "ALTER TABLE todos ALTER title DROP NOT NULL", "ANALYZE streams"]
)
def test_a_database_that_was_changed_otherwise_is_not_lent_again(
    migrated: Migrated, postgres: Postgres, change: str
) -> None:
    with migrated.lent() as url:
        postgres.execute("INSERT INTO streams (id, revision) VALUES (gen_random_uuid(), 1)", url.rpartition("/")[2])
        postgres.execute(change, url.rpartition("/")[2])
    with migrated.lent() as next_one:
        assert next_one != url


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_an_application_that_is_lent_again_remembers_nothing(settings: Settings) -> None:
    states = []
    for name in ("first", "second"):
        own = settings.model_copy(update={"data_dir": settings.data_dir / name})
        with applications.lent(own) as app:
            async with Running(app) as running:
                assert (await get(running)).status_code == 200
                states.append(running.state)
                assert running.state["settings"] == own
                assert running.state["metrics"].render().count(b"doable_http_requests_total{") == 1
    first, second = states
    assert {name for name in first if first[name] is second[name]} <= {"epoch"}


async def _rows(postgres: Postgres, database: str, *tables: str) -> list[str]:
    async with postgres.connected(database) as connection:
        found = []
        for table in tables or ("streams", "instance", "todos", "alembic_version"):
            found += [repr(row) for row in await connection.fetch(f"SELECT * FROM {table}")]  # noqa: S608 — ours
        return found
