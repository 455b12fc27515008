"""What every fault row does: load on a started system, harm by the test, and then the oracle."""

import os
import random
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import pytest

from tests.support import figures, oracle, systems
from tests.support.ledger import Ledger
from tests.support.oracle import Verdict
from tests.support.systems import System, Usage

RECOVERY = 30.0
"""Seconds, on a machine that is busy; what it took is told."""
SLOWEST = 8.0
"""Seconds: three, on a machine that has time."""


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

    def keeps_memory(self) -> None:
        """What the process has now it may keep, for the next ones; not more."""
        self.before = self.before._replace(memory=self.system.usage().memory)


class Row:
    """What one test shows."""

    def __init__(self, request: pytest.FixtureRequest) -> None:
        self._request = request
        self.seed = int(os.environ.get("FAULT_SEED", random.randrange(10**6)))  # noqa: S311 — no secret

    def tell(
        self, name: str, setup: str, *, verdict: Verdict | None = None, recovery: float | None = None, note: str = ""
    ) -> None:
        cells = figures.cells(name, setup, verdict, recovery, note)
        self._request.node.user_properties.append((figures.PROPERTY, cells))

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
