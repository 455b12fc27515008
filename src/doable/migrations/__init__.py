"""The schema's history: one chain for both databases, applied under a lock so that two starters migrate once."""

from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, event, text
from sqlalchemy.engine import make_url
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import NullPool

_LOCK = 0x646F61626C65  # "doable": the number of PostgreSQL's advisory lock
_SQLITE_WAIT = 60_000


async def migrate(database: str) -> bool:
    """Bring the database (`sqlite:///FILE` or `postgresql://…`) to the newest schema; `False`: it was there already."""
    engine = _writer(database)
    try:
        async with engine.begin() as connection:
            return await connection.run_sync(_upgrade)
    finally:
        await engine.dispose()


async def heads(database: str) -> frozenset[str]:
    """What the database was migrated to; nothing, if it never was."""
    engine = _engine(database)
    try:
        async with engine.connect() as connection:
            return frozenset(await connection.run_sync(_heads))
    finally:
        await engine.dispose()


def script_config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent))
    config.set_main_option("path_separator", "os")
    return config


def _heads(connection: Connection) -> tuple[str, ...]:
    return MigrationContext.configure(connection).get_current_heads()


def _upgrade(connection: Connection) -> bool:
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
    config = script_config()
    if _heads(connection) == tuple(ScriptDirectory.from_config(config).get_heads()):
        return False
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
    return True


def _engine(database: str) -> AsyncEngine:
    driver = "sqlite+aiosqlite" if make_url(database).drivername == "sqlite" else "postgresql+asyncpg"
    return create_async_engine(make_url(database).set(drivername=driver), poolclass=NullPool)


def _writer(database: str) -> AsyncEngine:
    engine = _engine(database)
    if engine.dialect.name != "sqlite":
        return engine

    @event.listens_for(engine.sync_engine, "connect")
    def configure(connection: Any, _record: object) -> None:
        connection.isolation_level = None
        connection.execute(f"PRAGMA busy_timeout={_SQLITE_WAIT}").close()
        connection.execute("PRAGMA journal_mode=WAL").close()

    @event.listens_for(engine.sync_engine, "begin")
    def begin(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE")  # the lock: whoever comes second waits, then finds it done

    return engine
