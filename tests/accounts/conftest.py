"""What the tests of accounts share: a person, a second one, the mailbox, and a clock that can be moved."""

import datetime as dt
import email
import email.policy
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx2
import pytest

from doable.core import clock
from doable.core.db import Database
from doable.core.passwords import Hasher
from doable.settings import Settings
from tests.support import asgi, people
from tests.support.people import Person

type Wait = Callable[[dt.timedelta], None]


class Mailbox:
    """The mails that the server has written, for want of SMTP, to files."""

    def __init__(self, settings: Settings, running: asgi.Running) -> None:
        self._folder: Path = settings.data_dir / "mail"
        self._mailer = running.state["mailer"]

    async def to(self, address: str) -> list[str]:
        """Subject and text of each mail to the address, in order."""
        await self._mailer._queue.join()
        parsed = [
            email.message_from_bytes(file.read_bytes(), policy=email.policy.default)
            for file in sorted(self._folder.glob("*.eml"))
        ]
        return [f"{mail['Subject']}\n{mail.get_content()}" for mail in parsed if mail["To"] == address]

    async def token(self, address: str, subject: str) -> str:
        """The secret in the newest mail to the address whose subject has these words."""
        mails = [text for text in await self.to(address) if subject in text.partition("\n")[0]]
        found = re.search(r"dbm_[\w-]+", mails[-1])
        assert found, mails[-1]
        return found[0]


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
async def ana(client: httpx2.AsyncClient) -> Person:
    return await people.register(client)


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


def without_id(answer: httpx2.Response) -> dict[str, Any]:
    """All that an answer says but what differs between any two."""
    error = {name: value for name, value in answer.json()["error"].items() if name != "request_id"}
    changing = {"x-request-id", "date", "ratelimit-remaining", "ratelimit-reset"}
    headers = {name: value for name, value in answer.headers.items() if name not in changing}
    return {"status": answer.status_code, "error": error, "headers": headers}
