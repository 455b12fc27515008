"""What tests of accounts need besides people: the mailbox, time that passes, answers that can be compared."""

import asyncio
import datetime as dt
import email
import email.policy
import re
from collections.abc import Callable
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import httpx2

from doable.core.jobs.worker import Worker
from doable.settings import Settings
from tests.support import asgi

type Wait = Callable[[dt.timedelta], None]


class Mailbox:
    """The mails that the server has written, for want of SMTP, to files."""

    def __init__(self, settings: Settings, running: asgi.Running) -> None:
        self._folder: Path = settings.data_dir / "mail"
        self._worker: Worker = running.state["worker"]

    async def to(self, address: str) -> list[str]:
        """Subject and text of each mail to the address, in order."""
        await self._worker.drain()
        parsed = [
            email.message_from_bytes(file.read_bytes(), policy=email.policy.default)
            for file in sorted(self._folder.glob("*.eml"))
        ]
        return [f"{mail['Subject']}\n{_plain(mail)}" for mail in parsed if mail["To"] == address]

    async def token(self, address: str, subject: str) -> str:
        """The secret in the newest mail to the address whose subject has these words."""
        async with asyncio.timeout(10):
            while not (mails := await self._about(address, subject)):  # noqa: ASYNC110 — a worker tells no test
                await asyncio.sleep(0.01)  # what it is just taking cannot be drained
        found = re.search(r"dbm_[\w-]+", mails[-1])
        assert found, mails[-1]
        return found[0]

    async def _about(self, address: str, subject: str) -> list[str]:
        return [text for text in await self.to(address) if subject in text.partition("\n")[0]]


def asks_who(statement: str) -> bool:
    """Whether a statement asks who is behind a credential."""
    return "users.inbox_id" in statement and (
        "sessions.seen_generation" in statement or "api_tokens.scopes" in statement
    )


def _plain(mail: EmailMessage) -> str:
    body = mail.get_body(("plain",))
    assert body is not None
    text: str = body.get_content()
    return text


def without_id(answer: httpx2.Response) -> dict[str, Any]:
    """All that an answer says but what differs between any two."""
    error = {name: value for name, value in answer.json()["error"].items() if name != "request_id"}
    changing = {"x-request-id", "date", "ratelimit-remaining", "ratelimit-reset"}
    headers = {name: value for name, value in answer.headers.items() if name not in changing}
    return {"status": answer.status_code, "error": error, "headers": headers}
