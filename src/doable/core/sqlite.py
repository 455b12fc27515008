"""SQLite: one writing connection, several that can only read, and its errors in our words."""

import re
import sqlite3
from collections.abc import Iterable
from typing import Any

from sqlalchemy import Connection, Index, MetaData, PrimaryKeyConstraint, UniqueConstraint, event
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.pool import AsyncAdaptedQueuePool

from doable.core.db import (
    CheckViolation,
    DatabaseError,
    ForeignKeyViolation,
    SerializationFailure,
    Unavailable,
    UniqueViolation,
)
from doable.core.engines import Engines

READERS = 8
"""More connections, each with a thread of its own, do not read faster."""
WRITER_WAIT = 5
"""Seconds that a writer waits for its turn."""

_KINDS: dict[str, type[DatabaseError]] = {
    "SQLITE_CONSTRAINT_UNIQUE": UniqueViolation,
    "SQLITE_CONSTRAINT_PRIMARYKEY": UniqueViolation,
    "SQLITE_CONSTRAINT_FOREIGNKEY": ForeignKeyViolation,
    "SQLITE_CONSTRAINT_CHECK": CheckViolation,
    "SQLITE_CONSTRAINT_NOTNULL": CheckViolation,
    "SQLITE_BUSY_SNAPSHOT": SerializationFailure,
}
_FAMILIES = (
    "SQLITE_BUSY",
    "SQLITE_LOCKED",
    "SQLITE_FULL",
    "SQLITE_IOERR",
    "SQLITE_CANTOPEN",
    "SQLITE_NOMEM",
    "SQLITE_READONLY",
)


def open_engines(url: str, metadata: MetaData, *, synchronous: str, pool_size: int, recycle: int) -> Engines:
    """Engines for the file that `url` (`sqlite:///FILE`) names; the folder has to exist."""
    target = make_url(url).set(drivername="sqlite+aiosqlite")
    names = _constraint_names(metadata)
    pragmas = (
        "journal_mode=WAL",
        f"synchronous={synchronous}",
        "foreign_keys=ON",
        f"busy_timeout={WRITER_WAIT * 1000}",
        "cache_size=-16384",
    )

    def engine(size: int, pragmas: Iterable[str], **options: Any) -> AsyncEngine:
        made = create_async_engine(
            target,
            poolclass=AsyncAdaptedQueuePool,
            pool_size=size,
            max_overflow=0,
            pool_timeout=WRITER_WAIT,
            pool_pre_ping=True,
            pool_recycle=recycle,
            hide_parameters=True,  # a trace in the log would show what people wrote
            **options,
        )
        _configure(made, pragmas)
        return made

    # Statistics, without which SQLite walks the wrong index; looked after whenever the connection is renewed.
    writer = engine(1, (*pragmas, "optimize=0x10002"))
    reader = engine(min(pool_size, READERS), (*pragmas, "query_only=ON"), isolation_level="AUTOCOMMIT")

    @event.listens_for(writer.sync_engine, "begin")
    def begin(connection: Connection) -> None:
        # A deferred transaction that turns into a write fails at once with SQLITE_BUSY,
        # whatever busy_timeout says; so the writer takes the lock first.
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    return Engines(writer, reader, _begin_snapshot, lambda error: _translate(error, names), commit_can_be_lost=False)


def _configure(engine: AsyncEngine, pragmas: Iterable[str]) -> None:
    @event.listens_for(engine.sync_engine, "connect")
    def configure(connection: Any, _record: object) -> None:
        connection.isolation_level = None  # we say when a transaction begins, not sqlite3
        for pragma in pragmas:
            connection.execute(f"PRAGMA {pragma}").close()


async def _begin_snapshot(connection: AsyncConnection) -> None:
    # The reading connections are in autocommit, where SQLAlchemy begins nothing; closing them rolls back.
    await connection.exec_driver_sql("BEGIN")


def _translate(error: BaseException, names: dict[str, str]) -> BaseException:
    if isinstance(error, PoolTimeout):
        return Unavailable("no connection became free in time")
    cause = error.orig if isinstance(error, DBAPIError) else error
    code: str | None = getattr(cause, "sqlite_errorname", None)
    if not isinstance(cause, sqlite3.Error) or code is None:
        return error
    kind = _KINDS.get(code) or (Unavailable if code.startswith(_FAMILIES) else None)
    if kind is None:
        return error
    found = re.match(r"(?:UNIQUE|CHECK) constraint failed: (?:index ')?([^']+)", str(cause))
    return kind(str(cause), names.get(found[1], found[1]) if found else None)


def _constraint_names(metadata: MetaData) -> dict[str, str]:
    """SQLite reports the columns of a violated unique constraint; PostgreSQL, and our code, its name."""
    names: dict[str, str] = {}
    for table in metadata.tables.values():
        unique: list[Index | UniqueConstraint | PrimaryKeyConstraint] = [i for i in table.indexes if i.unique]
        unique += [c for c in table.constraints if isinstance(c, UniqueConstraint | PrimaryKeyConstraint)]
        for rule in unique:
            names[", ".join(f"{table.name}.{column.name}" for column in rule.columns)] = str(rule.name)
    return names
