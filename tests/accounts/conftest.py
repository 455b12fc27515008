"""What the tests of accounts share: a person, a second one, the mailbox, and a clock that can be moved."""

import datetime as dt

import httpx2
import pytest

from doable.core import clock
from doable.core.db import Database
from doable.core.passwords import Hasher
from doable.settings import Settings
from tests.support import asgi, people
from tests.support.accounts import Mailbox, Wait
from tests.support.people import Person


@pytest.fixture
def mailbox(settings: Settings, running: asgi.Running) -> Mailbox:
    return Mailbox(settings, running)


@pytest.fixture
def db(running: asgi.Running) -> Database:
    found: Database = running.state["db"]
    return found


@pytest.fixture
def hasher(running: asgi.Running) -> Hasher:
    found: Hasher = running.state["hasher"]
    return found


@pytest.fixture
async def bruno(client: httpx2.AsyncClient) -> Person:
    return await people.register(client, "bruno")


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
