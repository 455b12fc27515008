"""A database as its driver sees it: two pools of connections, and what is particular about each kind."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, NamedTuple, NoReturn, cast

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
from sqlalchemy.pool import QueuePool
from sqlalchemy.sql.base import Executable

from doable.core.queries import Reader


@dataclass(frozen=True, slots=True)
class Engines:
    """`reader` refuses writes; `commit_can_be_lost` says whether COMMIT crosses a network."""

    writer: AsyncEngine
    reader: AsyncEngine
    begin_snapshot: Callable[[AsyncConnection], Awaitable[object]]
    translate: Callable[[BaseException], BaseException]
    commit_can_be_lost: bool

    def fail(self, error: BaseException) -> NoReturn:
        """Raise what the error means to us, or itself."""
        translated = self.translate(error)
        if translated is error:
            raise error
        raise translated from error


class PoolStatus(NamedTuple):
    size: int
    in_use: int


def status(engines: Engines) -> PoolStatus:
    pools = [cast("QueuePool", engine.pool) for engine in (engines.writer, engines.reader)]
    return PoolStatus(sum(pool.size() for pool in pools), sum(pool.checkedout() for pool in pools))


class Snapshot(Reader):
    """Reads of one instant."""

    def __init__(self, connection: AsyncConnection, pools: Engines) -> None:
        self._connection, self._engines = connection, pools

    async def begin(self) -> None:
        try:
            await self._engines.begin_snapshot(self._connection)
        except BaseException as error:  # noqa: BLE001 — raised again, in our words
            self._engines.fail(error)

    async def _rows(self, statement: Executable, params: Mapping[str, object]) -> list[Any]:
        try:
            return list((await self._connection.execute(statement, dict(params))).all())
        except BaseException as error:  # noqa: BLE001 — raised again, in our words
            self._engines.fail(error)


async def borrow(opening: Awaitable[AsyncConnection]) -> AsyncConnection:
    """A connection of a pool. Drivers lose one whose opening is cancelled, so it is opened and given back."""
    opened = asyncio.ensure_future(opening)
    try:
        return await asyncio.shield(opened)
    except asyncio.CancelledError:
        with suppress(Exception):
            await (await opened).close()
        raise
