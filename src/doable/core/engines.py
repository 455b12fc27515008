"""A database as its driver sees it: two pools of connections, and what is particular about each kind."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import NamedTuple, NoReturn, cast

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
from sqlalchemy.pool import QueuePool


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


async def borrow(opening: Awaitable[AsyncConnection]) -> AsyncConnection:
    """A connection of a pool. Drivers lose one whose opening is cancelled, so it is opened and given back."""
    opened = asyncio.ensure_future(opening)
    try:
        return await asyncio.shield(opened)
    except asyncio.CancelledError:
        with suppress(Exception):
            await (await opened).close()
        raise
