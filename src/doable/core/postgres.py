"""PostgreSQL: a pool that writes, a pool that cannot, and its errors in our words."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from sqlalchemy import NullPool
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from doable.core.db import (
    CheckViolation,
    DatabaseError,
    ForeignKeyViolation,
    LockTimeout,
    SerializationFailure,
    Unavailable,
    UniqueViolation,
)
from doable.core.engines import Engines

POOL_WAIT = 2
"""Seconds that a request waits for a connection."""
CONNECT_WAIT = 2
STATEMENT_WAIT = 5
"""Seconds that a statement may take, on the server and, where the server is silent, on our side."""

_KINDS: dict[str, type[DatabaseError]] = {
    "23505": UniqueViolation,
    "23503": ForeignKeyViolation,
    "23514": CheckViolation,
    "23502": CheckViolation,
    "40001": SerializationFailure,
    "40P01": SerializationFailure,  # deadlock
    "0A000": SerializationFailure,  # the plan of a prepared statement is older than the schema
    "25006": Unavailable,  # a primary that has become a standby
    "55P03": LockTimeout,
    "57014": Unavailable,  # statement_timeout
    "25P03": Unavailable,  # idle_in_transaction_session_timeout
    "25P04": Unavailable,  # transaction_timeout
}
_CLASSES = ("08", "53", "57", "58")  # connection, resources, operator intervention, system


def open_engines(url: str, *, pool_size: int, max_overflow: int, recycle: int) -> Engines:
    """Engines for `postgresql://…`; the two pools together have `pool_size` connections and `max_overflow` beyond."""
    target = make_url(url).set(drivername="postgresql+asyncpg")

    def engine(share: int, overflow: int, *, read_only: bool) -> AsyncEngine:
        server_settings = {
            "application_name": "doable",
            "timezone": "UTC",
            "statement_timeout": str(STATEMENT_WAIT * 1000),
            "idle_in_transaction_session_timeout": "15000",
            "default_transaction_read_only": "on" if read_only else "off",
        }
        return create_async_engine(
            target,
            pool_size=share,
            max_overflow=overflow,
            pool_timeout=POOL_WAIT,
            pool_pre_ping=True,
            hide_parameters=True,  # a trace in the log would show what people wrote
            pool_recycle=recycle,
            pool_use_lifo=True,
            isolation_level="AUTOCOMMIT" if read_only else "READ COMMITTED",
            connect_args={
                "timeout": CONNECT_WAIT,
                "command_timeout": STATEMENT_WAIT + 1,
                "server_settings": server_settings,
            },
        )

    reader = engine(pool_size // 2, max_overflow // 2, read_only=True)
    writer = engine(pool_size - pool_size // 2, max_overflow - max_overflow // 2, read_only=False)
    return Engines(writer, reader, _begin_snapshot, _translate, commit_can_be_lost=True)


@asynccontextmanager
async def own_connection(url: str) -> AsyncIterator[Any]:
    """A connection of the driver itself, beside the pools, for who listens on it as long as it lives."""
    engine = create_async_engine(
        make_url(url).set(drivername="postgresql+asyncpg"),
        poolclass=NullPool,
        isolation_level="AUTOCOMMIT",
        connect_args={
            "timeout": CONNECT_WAIT,
            "command_timeout": STATEMENT_WAIT + 1,
            "server_settings": {"application_name": "doable hub"},
        },
    )
    async with engine.connect() as connection:
        raw: Any = (await connection.get_raw_connection()).driver_connection
        try:
            yield raw
        finally:
            raw.terminate()
            await connection.invalidate()


async def _begin_snapshot(connection: AsyncConnection) -> None:
    await connection.execution_options(isolation_level="REPEATABLE READ")


def _translate(error: BaseException) -> BaseException:
    if isinstance(error, PoolTimeout):
        return Unavailable("no connection became free in time")
    if isinstance(error, DBAPIError):
        return _translate_driver(error)
    # Connecting fails with the socket's own errors, which SQLAlchemy does not wrap.
    if isinstance(error, OSError | TimeoutError) and not isinstance(error, asyncio.CancelledError):
        return Unavailable(str(error) or type(error).__name__)
    state: str | None = getattr(error, "sqlstate", None)
    return Unavailable(str(error)) if state and state.startswith(_CLASSES) else error


def _translate_driver(error: DBAPIError) -> BaseException:
    cause = error.driver_exception
    state: str = getattr(cause, "sqlstate", None) or ""
    kind = _KINDS.get(state) or (Unavailable if state.startswith(_CLASSES) or error.connection_invalidated else None)
    if kind is None and isinstance(cause, OSError | TimeoutError):
        kind = Unavailable
    return error if kind is None else kind(str(cause), getattr(cause, "constraint_name", None))
