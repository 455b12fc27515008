"""What the doors of the database need from whoever runs their statements."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from sqlalchemy.sql.base import Executable

from doable.core.queries import Query, Write

type Params = Mapping[str, Any]
type Watcher = Callable[[str], None]
"""Told each statement when it is handed to the driver, and `BEGIN`, `COMMIT`, `ROLLBACK`."""


class PoolStatus(NamedTuple):
    size: int
    in_use: int


class Reading(Protocol):
    """A connection with a snapshot of its own, until `roll_back` gives it back."""

    async def rows[R](self, question: Query[R], params: Params) -> list[R]: ...

    async def roll_back(self) -> None: ...


class Session(Reading, Protocol):
    """A connection with a transaction of its own, until `commit` or `roll_back` ends it; one of them has to.

    After a statement that has failed only `roll_back` may follow.
    """

    async def execute(self, statement: Executable, params: Params) -> int: ...

    async def many(self, statement: Executable, rows: Sequence[Params]) -> None: ...

    async def commit(self) -> None:
        """Raises `OutcomeUnknown` where the answer can be lost."""

    async def roll_back(self) -> None:
        """Raises `Unavailable` where what the transaction has read turns out never to have been."""


class Executor(Protocol):
    """Errors that a caller can act on are those of `core.faults`."""

    @property
    def watchers(self) -> list[Watcher]: ...

    async def read[R](self, question: Query[R], params: Params) -> list[R]:
        """Run one statement alone, where nothing can be written."""

    async def snapshot(self) -> Reading: ...

    async def begin(self) -> Session: ...

    async def at_once(self, writes: Sequence[Write]) -> bool:
        """Run these as a transaction of their own; `False` if one of them changes nothing: then none has been made.

        Raises `OutcomeUnknown` where the answer can be lost.
        """

    def status(self) -> PoolStatus: ...

    async def close(self) -> None: ...
