"""What the fault rows share: the two set-ups, and the table of what each of them has shown."""

import os
import random
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from doable.settings import Settings
from tests.support import configuration, databases, figures, oracle, systems
from tests.support.ledger import Ledger
from tests.support.oracle import Verdict
from tests.support.postgres import Postgres
from tests.support.systems import System, Usage

PROPERTY = "row of figures"
RECOVERY = 30.0
SLOWEST = 8.0
"""Seconds: three, on a machine that has time."""


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--write-figures", action="store_true", help="put what the fault rows show into docs/guarantees.md"
    )


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    reports = [report for outcome in terminalreporter.stats.values() for report in outcome]
    rows = [value for report in reports for name, value in getattr(report, "user_properties", ()) if name == PROPERTY]
    table = figures.table(sorted({tuple(row) for row in rows}, key=figures.order))
    if rows:
        terminalreporter.section("faults")
        terminalreporter.write_line(table)
    if config.getoption("--write-figures", default=False) and not terminalreporter.stats.get("failed"):
        figures.write(table)


@dataclass
class Attack:
    """A system under load. `lift` is called when the fault is over."""

    system: System
    ledger: Ledger
    before: Usage
    recovery: float | None = None
    slowest: float = SLOWEST
    note: str = ""

    async def lift(self) -> None:
        """The fault is over from now on; the next write has to be acknowledged soon, on a busy machine too."""
        recovery = await self.ledger.acknowledgement(time.monotonic(), within=RECOVERY)
        self.recovery = max(recovery, self.recovery or 0.0)


class Row:
    """What one test shows."""

    def __init__(self, request: pytest.FixtureRequest) -> None:
        self._request = request
        self.seed = int(os.environ.get("FAULT_SEED", random.randrange(10**6)))  # noqa: S311 — no secret

    def tell(
        self, name: str, setup: str, *, verdict: Verdict | None = None, recovery: float | None = None, note: str = ""
    ) -> None:
        cells = figures.cells(name, setup, verdict, recovery, note)
        self._request.node.user_properties.append((PROPERTY, cells))

    @asynccontextmanager
    async def attack(self, name: str, system: System, *, hooks: bool = True, **options: Any) -> AsyncIterator[Attack]:
        """Load while the test does harm; afterwards everything has to be as it was promised."""
        print(f"{name}: FAULT_SEED={self.seed}")  # noqa: T201 — shown when it fails
        ledger = Ledger(system.base_url, self.seed, **options)
        try:
            await ledger.open(system.hooks if hooks else None)
            attack = Attack(system, ledger, system.usage())
            async with ledger.writing():
                await systems.wait_until(lambda: sum(bool(entry.acknowledged) for entry in ledger.entries) >= 10)
                attack.before = system.usage()
                yield attack
            verdict = await oracle.judge(ledger, system.hasten, system.mails, system.hooks if hooks else None)
        finally:
            await ledger.close()
        setup = "SQLite" if system.settings.embedded else "2 workers"
        self.tell(name, setup, verdict=verdict, recovery=attack.recovery, note=attack.note)
        verdict.check(slowest=attack.slowest)
        await system.at_rest(attack.before)
        assert system.noise() == []


@pytest.fixture
def row(request: pytest.FixtureRequest) -> Row:
    return Row(request)


@pytest.fixture(scope="session")
def victim() -> Iterator[Postgres]:
    """A PostgreSQL that may be killed, and keeps what it has acknowledged; it runs again when a test ends."""
    with Postgres() as server:
        server.execute("ALTER SYSTEM SET synchronous_commit = on")
        server.execute("SELECT pg_reload_conf()")
        databases.postgres_template(server)
        yield server


@pytest.fixture
def postgres_settings(victim: Postgres, tmp_path: Path) -> Iterator[Settings]:
    with victim.fresh(databases.TEMPLATE) as url:
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
