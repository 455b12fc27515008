"""The schema's history: one chain for both databases, applied under a lock so that two starters migrate once."""

import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, event, text
from sqlalchemy.engine import make_url
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.pool import NullPool

from doable.core.executors.postgres.words import PRIMARY

_LOCK = 0x646F61626C65  # "doable": the number of PostgreSQL's advisory lock
_SQLITE_WAIT = 60_000
_SQLITE_WAL_WAIT = 500


async def migrate(database: str) -> bool:
    """Bring the database (`sqlite:///FILE` or `postgresql://…`) to the newest schema; `False`: it was there already."""
    async with writing(database) as connection:
        return await connection.run_sync(_upgrade)


@asynccontextmanager
async def writing(database: str) -> AsyncIterator[AsyncConnection]:
    """A transaction that excludes every other writer on SQLite; leaving it commits."""
    engine = _engine(database, "BEGIN IMMEDIATE")  # whoever comes second waits, then finds it done
    try:
        async with engine.begin() as connection:
            yield connection
    finally:
        await engine.dispose()


@asynccontextmanager
async def snapshot(database: str) -> AsyncIterator[AsyncConnection]:
    """Reads of one instant, while others go on writing."""
    engine = _engine(database, "BEGIN", isolation_level="REPEATABLE READ")
    try:
        async with engine.connect() as connection:
            yield connection
    finally:
        await engine.dispose()


async def heads(database: str) -> frozenset[str]:
    """What the database was migrated to; nothing, if it never was."""
    async with snapshot(database) as connection:
        return frozenset(await connection.run_sync(_heads))


def script_config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent))
    config.set_main_option("path_separator", "os")
    return config


def upgrade_to(connection: Connection, revision: str) -> None:
    """Bring the schema, inside the transaction of `connection`, to a revision."""
    config = script_config()
    config.attributes["connection"] = connection
    command.upgrade(config, revision)


def _heads(connection: Connection) -> tuple[str, ...]:
    return MigrationContext.configure(connection).get_current_heads()


def _upgrade(connection: Connection) -> bool:
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
    if _heads(connection) == tuple(ScriptDirectory.from_config(script_config()).get_heads()):
        return False
    upgrade_to(connection, "head")
    return True


def _engine(database: str, begin: str, **postgresql: Any) -> AsyncEngine:
    url = make_url(database)
    if url.drivername != "sqlite":
        url = url.set(drivername="postgresql+asyncpg")
        return create_async_engine(url, poolclass=NullPool, connect_args=PRIMARY, **postgresql)
    engine = create_async_engine(url.set(drivername="sqlite+aiosqlite"), poolclass=NullPool)

    @event.listens_for(engine.sync_engine, "connect")
    def configure(connection: Any, _record: object) -> None:
        connection.isolation_level = None
        # Two who do this at once to a new file wait for each other; whoever serves the file does it again.
        connection.execute(f"PRAGMA busy_timeout={_SQLITE_WAL_WAIT}").close()
        with suppress(sqlite3.OperationalError):
            connection.execute("PRAGMA journal_mode=WAL").close()
        connection.execute(f"PRAGMA busy_timeout={_SQLITE_WAIT}").close()

    @event.listens_for(engine.sync_engine, "begin")
    def start(connection: Connection) -> None:
        connection.exec_driver_sql(begin)

    return engine
