"""Rows that many look for at the same moment, each by its key: one statement and one answer to wait for."""

import asyncio
import re
from collections.abc import Awaitable, Callable, Sequence
from functools import lru_cache
from itertools import chain, count
from typing import Any

from doable.core.faults import DatabaseError, Unavailable

MOST = 8
"""Look-ups in one statement."""
_TEXTS = 400
_PLACEHOLDER = re.compile(r"\$(\d+)(::\w+)")

type Rows = Sequence[Any]
type Run = Callable[[str, Sequence[Any]], Awaitable[Rows]]


class Lookups:
    """Whoever asks while another look-up is under way waits for those who ask in the same turn of the event loop.

    The first of them runs the statement for all, in his own task. What befalls him alone is not theirs: if he is
    cancelled, or one of the keys cannot be read, each of the others looks for himself.
    """

    def __init__(self, run: Run) -> None:
        self._run = run
        self._under_way = 0
        self._gathering: dict[str, list[_Other]] = {}

    async def rows(self, sql: str, args: Sequence[Any]) -> Rows:
        """As `run`; of the statement one row at most is wanted."""
        if not self._under_way:
            return await self._alone(sql, args)
        others = self._gathering.get(sql)
        if others is None:
            return await self._with_others(sql, args)
        other = _Other(args)
        others.append(other)
        if len(others) == MOST - 1:
            del self._gathering[sql]
        rows = await other.found
        return await self._alone(sql, args) if rows is None else rows

    async def _alone(self, sql: str, args: Sequence[Any]) -> Rows:
        self._under_way += 1
        try:
            return await self._run(sql, args)
        finally:
            self._under_way -= 1

    async def _with_others(self, sql: str, args: Sequence[Any]) -> Rows:
        others = self._gathering[sql] = []
        try:
            await asyncio.sleep(0)
            if self._gathering.get(sql) is others:
                del self._gathering[sql]
            if others:
                return await self._for_all(sql, args, others)
        except Unavailable as error:
            for other in others:
                other.fail(type(error)(*error.args))
            raise
        except Exception:  # noqa: BLE001, S110 — perhaps for the sake of another: raised again if it was his own
            pass
        finally:
            if self._gathering.get(sql) is others:
                del self._gathering[sql]
            for other in others:
                other.give(None)
        return await self._alone(sql, args)

    async def _for_all(self, sql: str, args: Sequence[Any], others: "Sequence[_Other]") -> Rows:
        sets = [args, *(other.args for other in others)]
        found: list[Rows] = [()] * len(sets)
        for row in await self._alone(_for_each(sql, len(sets)), [*chain.from_iterable(sets)]):
            found[row[-1]] = (row[:-1],)
        for other, rows in zip(others, found[1:], strict=True):
            other.give(rows)
        return found[0]


class _Other:
    """Somebody who waits for what another one finds; `None`: he has to look for himself."""

    __slots__ = ("args", "found")

    def __init__(self, args: Sequence[Any]) -> None:
        self.args = args
        self.found: asyncio.Future[Rows | None] = asyncio.get_running_loop().create_future()

    def give(self, rows: Rows | None) -> None:
        if not self.found.done():
            self.found.set_result(rows)

    def fail(self, error: DatabaseError) -> None:
        if not self.found.done():
            self.found.set_exception(error)


@lru_cache(_TEXTS)
def _for_each(sql: str, times: int) -> str:
    """The statement for so many sets of its typed arguments; a row has behind its columns which set it is of.

    OFFSET 0 keeps PostgreSQL from mixing the two, so that it plans the statement as it does for one set.
    """
    casts = [cast for _, cast in sorted({(int(number), cast) for number, cast in _PLACEHOLDER.findall(sql)})]
    number = count(1)
    sets = (f"({', '.join(f'${next(number)}{cast}' for cast in casts)}, {place})" for place in range(times))
    names = ", ".join(f"arg{n + 1}" for n in range(len(casts)))
    found = _PLACEHOLDER.sub(r"given.arg\1", sql)
    return (
        f"SELECT found.*, given.place FROM (VALUES {', '.join(sets)}) AS given ({names}, place)"  # noqa: S608 — nothing of it is given
        f" CROSS JOIN LATERAL ({found} OFFSET 0) AS found"
    )
