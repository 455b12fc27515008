"""asyncpg's connection: with a shorter way for statements that it has prepared already, and to a primary alone."""

import asyncio
import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from doable.core.executors.postgres import words

STATEMENTS = 1000
"""Prepared statements that a connection keeps."""

with suppress(ModuleNotFoundError):  # installed only where DATABASE_URL needs it
    import asyncpg

    class Connection(asyncpg.Connection):
        """May be put on a `Wheel`, which ends it when the server is silent for too long."""

        __slots__ = ("_until",)

        async def rows(self, sql: str, args: Sequence[Any]) -> Sequence[asyncpg.Record]:
            """As `fetch` without a timeout, which takes five coroutines to find out what is known here.

            Only who has the connection for himself may call it, outside a transaction.
            """
            statement = self._stmt_cache.get((sql, asyncpg.Record, False))  # type: ignore[attr-defined]  # not its API
            if statement is None:
                return await self.fetch(sql, *args)
            try:
                run = self._protocol.bind_execute  # type: ignore[attr-defined]
                rows: Sequence[asyncpg.Record] = await run(statement, args, "", 0, False, None)  # noqa: FBT003
            except asyncpg.InvalidCachedStatementError:  # it has not been run
                return await self.fetch(sql, *args)  # which knows what to do about it
            return rows

        def expect_within(self, seconds: float) -> None:
            self._until = asyncio.get_running_loop().time() + seconds

        def is_overdue(self, now: float) -> bool:
            return self._until <= now

        def end(self) -> None:
            """Whoever waits for an answer is told that the connection is closed."""
            self.terminate()


async def connect(target: Mapping[str, Any], settings: dict[str, str]) -> "Connection":
    connection: Connection = await asyncpg.connect(
        **{**target, **words.PRIMARY},
        timeout=words.CONNECT_WAIT,
        connection_class=Connection,
        server_settings=settings,
        statement_cache_size=STATEMENTS,
        max_cached_statement_lifetime=0,
    )
    async with asyncio.timeout(words.ANSWER_WAIT):
        # SQLAlchemy's types hand over text and expect values.
        await _set_codec(connection, "json", b"")
        await _set_codec(connection, "jsonb", b"\x01")
    return connection


async def _set_codec(connection: "Connection", name: str, version: bytes) -> None:
    def encode(text: str) -> bytes:
        return version + text.encode()

    def decode(data: bytes) -> Any:
        return json.loads(data[len(version) :])

    await connection.set_type_codec(name, encoder=encode, decoder=decode, schema="pg_catalog", format="binary")
