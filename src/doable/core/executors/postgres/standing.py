"""A connection of the driver itself, beside the pools, for who needs one as long as it lives."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from sqlalchemy import NullPool
from sqlalchemy.engine import make_url
from sqlalchemy.ext.asyncio import create_async_engine

from doable.core.executors.postgres.words import ANSWER_WAIT, CONNECT_WAIT, PRIMARY


@asynccontextmanager
async def connection(url: str, name: str) -> AsyncIterator[Any]:
    """`name`: as PostgreSQL shows it among its activities."""
    engine = create_async_engine(
        make_url(url).set(drivername="postgresql+asyncpg"),
        poolclass=NullPool,
        isolation_level="AUTOCOMMIT",
        connect_args={
            **PRIMARY,
            "timeout": CONNECT_WAIT,
            "command_timeout": ANSWER_WAIT,
            # Nothing rests on what is told here: it waits for no replica, and for no disk.
            "server_settings": {"application_name": name, "synchronous_commit": "off"},
        },
    )
    async with engine.connect() as connected:
        raw: Any = (await connected.get_raw_connection()).driver_connection
        try:
            yield raw
        finally:
            raw.terminate()
            await connected.invalidate()
