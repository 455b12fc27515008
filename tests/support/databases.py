"""Migrated and empty databases of both kinds: copies of a template, on PostgreSQL used again by the next test."""

import io
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import asyncpg
import pytest

from doable import migrations
from doable.core.db import Transaction, Unavailable
from doable.core.executors.executor import Session
from tests.support import blocking
from tests.support.postgres import Postgres

LARGEST = 4 * 2**20
"""Bytes of tables and indexes that deleted rows may fill before a new copy is cheaper."""

_DISCONNECT = """
SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid()
"""
# A change of the schema or of the planner's statistics writes or removes rows of these; a change of data does not.
_SHAPE = " UNION ALL ".join(
    f"SELECT count(*), max(xmin::text::bigint) FROM {catalog}"  # noqa: S608 — ours
    for catalog in ("pg_class", "pg_attribute", "pg_constraint", "pg_index", "pg_trigger", "pg_proc", "pg_statistic")
)
_TABLES = "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r' ORDER BY relname"
_SIZE = "SELECT sum(pg_relation_size(oid)) FROM pg_class WHERE relnamespace = 'public'::regnamespace"


class Migrated:
    """Databases on one PostgreSQL. To copy one takes a hundred times as long as to empty it."""

    def __init__(self, postgres: Postgres) -> None:
        self._postgres = postgres
        self._free: list[str] = []
        self._shapes: dict[str, list[asyncpg.Record]] = {}
        self.template = postgres.create()
        blocking.run(migrations.migrate(postgres.url(self.template)))
        self._rows = blocking.run(self._contents(self.template))

    @contextmanager
    def lent(self) -> Iterator[str]:
        """The URL of a database without rows but those of the migrations, as far as a client can see a new one."""
        name = self._free.pop() if self._free else self._copied()
        try:
            yield self._postgres.url(name)
        finally:
            if blocking.run(self._emptied(name)):
                self._free.append(name)
            else:
                self._postgres.drop(name)

    def _copied(self) -> str:
        name = self._postgres.create(self.template)
        self._shapes[name] = blocking.run(self._shape(name))
        return name

    async def _shape(self, name: str) -> list[asyncpg.Record]:
        async with self._postgres.connected(name) as connection:
            return await connection.fetch(_SHAPE)

    async def _contents(self, name: str) -> dict[str, bytes]:
        """Of all tables, as `COPY` has it."""
        found = {}
        async with self._postgres.connected(name) as connection:
            for (table,) in await connection.fetch(_TABLES):
                rows = io.BytesIO()
                await connection.copy_from_table(table, output=rows)
                found[table] = rows.getvalue()
        return found

    async def _emptied(self, name: str) -> bool:
        """Whether it could be made as good as new."""
        async with self._postgres.connected(name) as connection:
            await connection.execute(_DISCONNECT)
            if await connection.fetch(_SHAPE) != self._shapes[name] or await connection.fetchval(_SIZE) > LARGEST:
                return False
            async with connection.transaction():
                await connection.execute("SET LOCAL session_replication_role = replica")  # no triggers
                await connection.execute("; ".join(f"DELETE FROM {table}" for table in self._rows))  # noqa: S608 — ours
                for table, rows in self._rows.items():
                    if rows:
                        await connection.copy_to_table(table, source=io.BytesIO(rows))
        return True


@contextmanager
def without_commits() -> Iterator[None]:
    """In this process whatever is to be committed in more than one statement fails."""

    async def refuse(_transaction: Transaction, session: Session) -> None:
        await session.roll_back()
        raise Unavailable

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Transaction, "_commit", refuse)
        yield


def sqlite_template(folder: Path) -> Path:
    """A migrated SQLite file without a log beside it."""
    file = folder / "template.db"
    blocking.run(migrations.migrate(f"sqlite:///{file}"))
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return file


def copy_sqlite(template: Path, folder: Path) -> str:
    """The URL of a copy of the template in `folder`."""
    file = folder / "doable.db"
    shutil.copyfile(template, file)
    return f"sqlite:///{file}"
