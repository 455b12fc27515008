"""PostgreSQL through SQLAlchemy: a pool that writes and a pool that cannot."""

from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from doable.core.executors.alchemy import Alchemy, Engines
from doable.core.executors.postgres import words
from doable.core.faults import Unavailable


def open_reference(url: str, *, pool_size: int, max_overflow: int, recycle: int) -> Alchemy:
    """For `postgresql://…`; the two pools together have `pool_size` connections and `max_overflow` beyond."""
    target = make_url(url).set(drivername="postgresql+asyncpg")

    def engine(share: int, overflow: int, *, read_only: bool) -> AsyncEngine:
        return create_async_engine(
            target,
            pool_size=share,
            max_overflow=overflow,
            pool_timeout=words.POOL_WAIT,
            pool_pre_ping=True,
            hide_parameters=True,  # a trace in the log would show what people wrote
            pool_recycle=recycle,
            pool_use_lifo=True,
            isolation_level="AUTOCOMMIT" if read_only else "READ COMMITTED",
            connect_args={
                **words.PRIMARY,
                "timeout": words.CONNECT_WAIT,
                "command_timeout": words.ANSWER_WAIT,
                "server_settings": words.server_settings(read_only=read_only),
            },
        )

    reader = engine(pool_size // 2, max_overflow // 2, read_only=True)
    writer = engine(pool_size - pool_size // 2, max_overflow - max_overflow // 2, read_only=False)
    return Alchemy(Engines(writer, reader, _begin_snapshot, _translate, commit_can_be_lost=True))


async def _begin_snapshot(connection: AsyncConnection) -> None:
    await connection.execution_options(isolation_level="REPEATABLE READ")


def _translate(error: BaseException) -> BaseException:
    if isinstance(error, PoolTimeout):
        return Unavailable("no connection became free in time")
    if isinstance(error, DBAPIError):
        cause = error.driver_exception
        translated = words.translate(cause, connection_lost=error.connection_invalidated)
        return error if translated is cause else translated
    # Connecting fails with the socket's own errors, which SQLAlchemy does not wrap.
    return words.translate(error)
