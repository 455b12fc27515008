"""Rows that many look for at the same moment, each by its key: one statement and one answer to wait for."""

import asyncio
import re
from collections.abc import Awaitable, Callable, Coroutine, Sequence
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
type Beside = Callable[[Coroutine[Any, Any, None]], object]


class Lookups:
    """Whoever asks while another look-up is under way waits for those who ask in the same turn of the event loop.

    What is asked for several is in nobody's task (`beside` starts it), so who leaves keeps nobody waiting. If one of
    the keys cannot be read, each looks for himself.
    """

    def __init__(self, run: Run, beside: Beside) -> None:
        self._run = run
        self._beside = beside
        self._under_way = 0
        self._gathering: dict[str, list[_Wanted]] = {}

    async def rows(self, sql: str, args: Sequence[Any]) -> Rows:
        """As `run`; of the statement one row at most is wanted."""
        if not self._under_way:
            return await self._alone(sql, args)
        wanted = _Wanted(args)
        gathered = self._gathering.get(sql)
        if gathered is None:
            gathered = await self._gather(sql, wanted)
        else:
            gathered.append(wanted)
            if len(gathered) == MOST:
                del self._gathering[sql]
        rows = await wanted.found if len(gathered) > 1 else None
        return await self._alone(sql, args) if rows is None else rows

    async def _alone(self, sql: str, args: Sequence[Any]) -> Rows:
        self._under_way += 1
        try:
            return await self._run(sql, args)
        finally:
            self._under_way -= 1

    async def _gather(self, sql: str, first: "_Wanted") -> "list[_Wanted]":
        gathered = self._gathering[sql] = [first]
        try:
            await asyncio.sleep(0)
        except asyncio.CancelledError:
            first.found.cancel()  # nobody will ask it
            raise
        finally:
            if self._gathering.get(sql) is gathered:
                del self._gathering[sql]
            if len(gathered) > 1:
                self._beside(self._find(sql, gathered))
        return gathered

    async def _find(self, sql: str, gathered: "Sequence[_Wanted]") -> None:
        try:
            args = [*chain.from_iterable(wanted.args for wanted in gathered)]
            found: list[Rows] = [()] * len(gathered)
            for row in await self._alone(_for_each(sql, len(gathered)), args):
                found[row[-1]] = (row[:-1],)
            for wanted, rows in zip(gathered, found, strict=True):
                wanted.give(rows)
        except Unavailable as error:
            for wanted in gathered:
                wanted.fail(type(error)(*error.args))
        except Exception:  # noqa: BLE001, S110 — of one of them, who is told when he asks alone
            pass
        finally:
            for wanted in gathered:
                wanted.give(None)


class _Wanted:
    """What somebody waits for; `None`: he has to look for himself."""

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
