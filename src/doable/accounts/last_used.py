"""When sessions and tokens were last used, collected in memory and written outside requests."""

import asyncio
from collections.abc import Iterable, Mapping
from contextlib import suppress
from datetime import datetime
from itertools import batched
from uuid import UUID

import structlog
from sqlalchemy.sql.base import Executable

from doable.accounts.statements import sessions, tokens
from doable.core.db import Database

INTERVAL = 60.0
PROMPT = 0.5
"""Seconds until a generation of refresh tokens that was seen for the first time is written."""
CLOSE_WAIT = 5.0
_BATCH = 500

_log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)


class LastUsed:
    """Loses at most a minute when the process dies; a lost generation is noted again by the next request."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._sessions: dict[UUID, datetime] = {}
        self._tokens: dict[tuple[UUID, UUID], datetime] = {}
        self._seen: dict[UUID, tuple[int, datetime]] = {}
        self._something_seen = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    def touch_session(self, session_id: UUID, at: datetime) -> None:
        self._sessions[session_id] = at

    def see_generation(self, session_id: UUID, generation: int, at: datetime) -> None:
        """That of an access token, where it is newer than what the session's row knows."""
        if self._seen.get(session_id, (-1, at))[0] < generation:
            self._seen[session_id] = (generation, at)
            self._something_seen.set()

    def touch_token(self, user_id: UUID, token_id: UUID, at: datetime) -> None:
        self._tokens[user_id, token_id] = at

    async def start(self) -> None:
        self._tasks = [
            asyncio.create_task(self._write_use(), name="last used"),
            asyncio.create_task(self._write_seen(), name="generations seen"),
        ]

    async def close(self) -> None:
        """Write what is left, if the database takes it in time."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        with suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_WAIT):
                await self._flush_seen()
                await self.flush()

    async def flush(self) -> None:
        """Write now what would be written within a minute."""
        used_sessions, self._sessions = self._sessions, {}
        used_tokens, self._tokens = self._tokens, {}
        session_rows = [{"session_id": id_, "at": at} for id_, at in sorted(used_sessions.items())]
        token_rows = [{"owner": owner, "token_id": id_, "at": at} for (owner, id_), at in sorted(used_tokens.items())]
        await self._write(sessions.USE_SESSION, session_rows)
        await self._write(tokens.USE_TOKEN, token_rows)

    async def _flush_seen(self) -> None:
        seen, self._seen = self._seen, {}
        rows = [{"session_id": id_, "newest": newest, "at": at} for id_, (newest, at) in sorted(seen.items())]
        await self._write(sessions.SEE_GENERATION, rows)

    async def _write_use(self) -> None:
        while True:
            await asyncio.sleep(INTERVAL)
            await self.flush()

    async def _write_seen(self) -> None:
        while True:
            await self._something_seen.wait()
            await asyncio.sleep(PROMPT)
            self._something_seen.clear()
            await self._flush_seen()

    async def _write(self, statement: Executable, rows: Iterable[Mapping[str, object]]) -> None:
        """In short transactions, in the order of ids; rows that somebody has locked are passed over."""
        for batch in batched(rows, _BATCH):
            try:
                async with self._db.transaction() as tx:
                    await tx.many(statement, batch)
            except Exception:  # noqa: BLE001 — what is lost here is noted again; the writing has to go on
                _log.exception("last_used_not_written")
