"""Two servers over copies of one database, the same but for one setting, and what of them has to be equal."""

import datetime as dt
import re
import sqlite3
from contextlib import AsyncExitStack, closing
from pathlib import Path
from typing import Any, NamedTuple, Self

import httpx2

from tests.support import applications, asgi, configuration, databases

UNLIKE = {"date", "ratelimit-limit", "ratelimit-remaining", "ratelimit-reset"}
# Ids of the server, tokens and hashes are random in each of them.
BY_THE_DATABASES_CLOCK = {"created_at", "run_at", "finished_at"}
_RANDOM = re.compile(
    r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}|\$argon2id\$[^\"'\s]+"
    r"|whsec_[A-Za-z0-9+/=]{32,}|[A-Za-z0-9_-]{32,}"
)


class Sent(NamedTuple):
    method: str
    target: str
    headers: dict[str, str]
    content: bytes | None


class Clock:
    """Stands still while a request is served."""

    def __init__(self) -> None:
        self.instant = dt.datetime(2026, 11, 22, 8, 41, 52, 123000, dt.UTC)

    def now(self) -> dt.datetime:
        return self.instant

    def tick(self) -> None:
        self.instant += dt.timedelta(seconds=1)


class Server:
    """One of the two; what is random in it is told by its number, in the order of its first appearance."""

    def __init__(self, template: Path, folder: Path, **settings: object) -> None:
        folder.mkdir(parents=True)
        self._file = folder / "doable.db"
        self._settings = configuration.make_settings(databases.copy_sqlite(template, folder), folder, **settings)
        self._numbers: dict[str | bytes, int] = {}
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        app = self._stack.enter_context(applications.lent(self._settings))
        running = await self._stack.enter_async_context(asgi.Running(app))
        client = httpx2.AsyncClient(transport=asgi.Transport(running), base_url="http://testserver")
        self.client = await self._stack.enter_async_context(client)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    async def answer(self, sent: Sent) -> tuple[int, list[tuple[str, str]], str]:
        """Status, headers and body as they came, but for what is random."""
        raw = [(name.encode(), value.encode("latin-1")) for name, value in sent.headers.items()]
        answer = await self.client.request(sent.method, sent.target, headers=raw, content=sent.content)
        # How well random ids compress is random, too; the transport holds lengths against bodies.
        unlike = UNLIKE | {"content-length"} if "content-encoding" in answer.headers else UNLIKE
        headers = [(name, self._known(value)) for name, value in answer.headers.multi_items() if name not in unlike]
        return answer.status_code, headers, self._known(answer.text)

    def rows(self) -> dict[str, list[tuple[object, ...]]]:
        """Everything in the database, in the order in which it was written."""
        with closing(sqlite3.connect(self._file)) as connection:
            names = [
                name
                for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name")
            ]
            return {name: self._table(connection, name) for name in names}

    def _table(self, connection: sqlite3.Connection, name: str) -> list[tuple[object, ...]]:
        told = [column for _, column, *_ in connection.execute(f"PRAGMA table_info({name})")]
        columns = ", ".join(column for column in told if name != "jobs" or column not in BY_THE_DATABASES_CLOCK)
        try:
            rows = connection.execute(f"SELECT {columns} FROM {name} ORDER BY rowid").fetchall()  # noqa: S608 — ours
        except sqlite3.OperationalError:  # WITHOUT ROWID
            rows = connection.execute(f"SELECT {columns} FROM {name}").fetchall()  # noqa: S608
            return sorted((tuple(self._told(value) for value in row) for row in rows), key=repr)
        return [tuple(self._told(value) for value in row) for row in rows]

    def _told(self, value: Any) -> object:
        if isinstance(value, bytes):
            try:
                return self._known(value.decode()) if value.isascii() else self._number(value)
            except UnicodeDecodeError:
                return self._number(value)
        return self._known(value) if isinstance(value, str) else value

    def _known(self, text: str) -> str:
        return _RANDOM.sub(lambda match: f"#{self._number(match[0])}", text)

    def _number(self, value: str | bytes) -> int:
        if isinstance(value, str) and len(value) == 36:
            value = bytes.fromhex(value.replace("-", ""))  # as it is stored
        return self._numbers.setdefault(value, len(self._numbers))
