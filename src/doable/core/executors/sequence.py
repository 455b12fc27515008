"""Changes that are a transaction of their own, run one after the other."""

from collections.abc import Sequence
from typing import Protocol

from doable.core.queries import Write


class Begun(Protocol):
    """A session, seen from here."""

    async def each(self, writes: Sequence[Write]) -> bool:
        """Run them in their order; `False` at the first one that changes nothing."""

    async def commit(self) -> None: ...

    async def roll_back(self) -> None: ...


async def run(session: Begun, writes: Sequence[Write]) -> bool:
    """End the session's transaction: with all of them, or with none if one changes nothing."""
    try:
        complete = await session.each(writes)
    except BaseException:
        await session.roll_back()
        raise
    await (session.commit() if complete else session.roll_back())
    return complete
