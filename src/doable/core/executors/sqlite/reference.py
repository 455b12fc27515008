"""SQLite through SQLAlchemy and aiosqlite: one writing connection, several that can only read."""

from collections.abc import Iterable
from typing import Any

from sqlalchemy import Connection, MetaData, event
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.pool import AsyncAdaptedQueuePool

from doable.core.executors.alchemy import Alchemy, Engines
from doable.core.executors.sqlite import words
from doable.core.faults import Unavailable


def open_reference(url: str, metadata: MetaData, *, synchronous: str, pool_size: int, recycle: int) -> Alchemy:
    """For the file that `url` (`sqlite:///FILE`) names; the folder has to exist."""
    target = make_url(url).set(drivername="sqlite+aiosqlite")
    driver_words = words.translation(metadata)

    def engine(size: int, *more: str, **options: Any) -> AsyncEngine:
        made = create_async_engine(
            target,
            poolclass=AsyncAdaptedQueuePool,
            pool_size=size,
            max_overflow=0,
            pool_timeout=words.WRITER_WAIT,
            pool_pre_ping=True,
            pool_recycle=recycle,
            hide_parameters=True,  # a trace in the log would show what people wrote
            **options,
        )
        _configure(made, (*words.pragmas(synchronous), *more))
        return made

    def translate(error: BaseException) -> BaseException:
        if isinstance(error, PoolTimeout):
            return Unavailable("no connection became free in time")
        cause = error.orig if isinstance(error, DBAPIError) and error.orig is not None else error
        translated = driver_words(cause)
        return error if translated is cause else translated

    writer = engine(1, words.STATISTICS)
    reader = engine(min(pool_size, words.READERS), words.READ_ONLY, isolation_level="AUTOCOMMIT")

    @event.listens_for(writer.sync_engine, "begin")
    def begin(connection: Connection) -> None:
        # A deferred transaction that turns into a write fails at once with SQLITE_BUSY,
        # whatever busy_timeout says; so the writer takes the lock first.
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    return Alchemy(Engines(writer, reader, _begin_snapshot, translate, commit_can_be_lost=False))


def _configure(engine: AsyncEngine, pragmas: Iterable[str]) -> None:
    @event.listens_for(engine.sync_engine, "connect")
    def configure(connection: Any, _record: object) -> None:
        connection.isolation_level = None  # we say when a transaction begins, not sqlite3
        for pragma in pragmas:
            connection.execute(f"PRAGMA {pragma}").close()


async def _begin_snapshot(connection: AsyncConnection) -> None:
    # The reading connections are in autocommit, where SQLAlchemy begins nothing; closing them rolls back.
    await connection.exec_driver_sql("BEGIN")
