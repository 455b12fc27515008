"""How somebody is reminded of a todo: a channel is a reaction, whoever serves it.

Another one (ntfy, Web Push) is a name in `CHANNELS` and `reactions={Reminded: Channel("ntfy", push)}` in its feature;
`push(tx, fact)` enqueues a job, which sends when the reminder is committed and is tried again when that fails.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from doable.core.db import Transaction

CHANNELS = ("email", "room", "webhook")


@dataclass(frozen=True, slots=True)
class Reminded:
    """A reminder fires; `channels` are those that its owner has chosen, `data` is {reminder, todo} as JSON text."""

    reminder_id: UUID
    user_id: UUID
    username: str
    list_id: UUID
    at: datetime
    channels: frozenset[str]
    data: str


@dataclass(frozen=True, slots=True)
class Channel:
    """Does `serve` for those who have chosen it."""

    name: str
    serve: Callable[[Transaction, Reminded], Awaitable[None]]

    async def __call__(self, tx: Transaction, fact: Reminded) -> None:
        if self.name in fact.channels:
            await self.serve(tx, fact)
