"""What the fault rows share: the two set-ups, and the table of what each of them has shown."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from doable.settings import Settings
from tests.support import configuration, databases, figures, systems
from tests.support.attacks import Row
from tests.support.postgres import Postgres
from tests.support.systems import System


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--write-figures", action="store_true", help="put what the fault rows show into docs/guarantees.md"
    )


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    reports = [report for outcome in terminalreporter.stats.values() for report in outcome]
    rows = [
        value
        for report in reports
        for name, value in getattr(report, "user_properties", ())
        if name == figures.PROPERTY
    ]
    table = figures.table(sorted({tuple(row) for row in rows}, key=figures.order))
    if rows:
        terminalreporter.section("faults")
        terminalreporter.write_line(table)
    partial = any(terminalreporter.stats.get(outcome) for outcome in ("failed", "error", "deselected"))
    if config.getoption("--write-figures", default=False) and not partial:
        figures.write(table)


@pytest.fixture
def row(request: pytest.FixtureRequest) -> Row:
    return Row(request)


@pytest.fixture(scope="session")
def victim() -> Iterator[Postgres]:
    """A PostgreSQL that may be killed, and keeps what it has acknowledged; it runs again when a test ends."""
    with Postgres() as server:
        server.execute("ALTER SYSTEM SET synchronous_commit = on")
        server.execute("SELECT pg_reload_conf()")
        yield server


@pytest.fixture(scope="session")
def victims_template(victim: Postgres) -> str:
    return databases.Migrated(victim).template


@pytest.fixture
def postgres_settings(victim: Postgres, victims_template: str, tmp_path: Path) -> Iterator[Settings]:
    with victim.fresh(victims_template) as url:
        yield configuration.make_settings(url, tmp_path / "data")


@pytest.fixture
def sqlite_settings(sqlite_template: Path, tmp_path: Path) -> Settings:
    return configuration.make_settings(databases.copy_sqlite(sqlite_template, tmp_path), tmp_path / "data")


@pytest.fixture
def failpoints() -> str:
    """Of the server that is started; a test that wants some has it as a parameter."""
    return ""


@pytest.fixture
async def two_workers(
    postgres_settings: Settings, victim: Postgres, tmp_path: Path, failpoints: str
) -> AsyncIterator[System]:
    async with systems.shared(postgres_settings, tmp_path, victim, DOABLE_FAILPOINTS=failpoints) as system:
        yield system


@pytest.fixture
async def one_process(sqlite_settings: Settings, tmp_path: Path) -> AsyncIterator[System]:
    async with systems.embedded(sqlite_settings, tmp_path) as system:
        yield system
