"""How a command works with the database: opened when it is asked, with a schema that fits, closed afterwards."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

from doable.cli import environment, migrate
from doable.cli.failures import UNAVAILABLE, Failure
from doable.core.db import Database, DatabaseError


def run[T](act: Callable[[Database], Coroutine[Any, Any, T]]) -> T:
    """What `act` answers; a database that does not answer ends the command with a clear line."""

    async def run() -> T:
        async with _opened() as db:
            return await act(db)

    try:
        return asyncio.run(run())
    except DatabaseError as error:
        raise Failure(f"The database does not answer: {error}", exit_code=UNAVAILABLE) from None


@asynccontextmanager
async def _opened() -> AsyncIterator[Database]:
    settings = environment.read_settings()
    environment.prepare_folders(settings)
    async with environment.open_database(settings) as db:
        migrate.require_current(await migrate.find_schema(db))
        yield db
