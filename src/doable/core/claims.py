"""Who may use an idempotency key now: requests of one process take turns, transactions wait for each other's rows."""

import asyncio
import hmac
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import Any, NoReturn
from uuid import UUID

from doable.core import clock, failpoints, replies
from doable.core.db import LockTimeout, Transaction
from doable.core.errors import AppException, Code
from doable.core.queries import Reader, Write
from doable.core.replies import Reply

WAIT = 2.0
"""Seconds that a request waits for another one with the same key."""


_NEW = tuple(f"new_{name}" for name in Reply._fields)
"""The parameters of `replies.CLAIM` that a reply is written by."""


class Replayed(Exception):
    """The request has been answered before, and that answer is to be sent again."""

    def __init__(self, reply: Reply) -> None:
        super().__init__()
        self.reply = reply


type Owner = tuple[UUID, str]


@dataclass(slots=True)
class Turn:
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    callers: int = 0
    reply: Reply | None = None  # of a caller who was first: those who have waited need not ask the database


class Claims:
    """Lets the requests of this process that have the same key wait for each other.

    Fingerprints are made with a secret: a request may have a password in it, at which nobody who reads the database, or
    a backup of it, may guess as fast as SHA-256 goes.
    """

    def __init__(self, secret: bytes, previous: bytes | None) -> None:
        self._turns: dict[Owner, Turn] = {}
        secrets = (secret,) if previous is None else (secret, previous)
        self._secrets = [hmac.digest(one, b"idempotency", "sha256") for one in secrets]

    def fingerprint(self, request: bytes) -> bytes:
        """What is kept of a request, given as a digest."""
        return hmac.digest(self._secrets[0], request, "sha256")

    def is_of(self, request: bytes, fingerprint: bytes) -> bool:
        return any(hmac.compare_digest(hmac.digest(one, request, "sha256"), fingerprint) for one in self._secrets)

    async def take_turn(self, owner: Owner) -> Turn:
        """Wait, holding nothing, until no other request has this key. Raises IDEMPOTENCY_IN_PROGRESS."""
        turn = self._turns.setdefault(owner, Turn())
        turn.callers += 1
        try:
            async with asyncio.timeout(WAIT if turn.callers > 1 else None):  # alone he does not wait
                await turn.lock.acquire()
        except BaseException as error:
            self._forget(owner, turn)
            if isinstance(error, TimeoutError):
                raise _in_progress() from error
            raise
        return turn

    def end_turn(self, owner: Owner, turn: Turn) -> None:
        turn.lock.release()
        self._forget(owner, turn)

    def _forget(self, owner: Owner, turn: Turn) -> None:
        turn.callers -= 1
        if not turn.callers:
            del self._turns[owner]


class Claim:
    """One request's hold on its key, from the first statement of the transaction that writes until its commit.

    It opens that transaction (`Opening`), whose first statement raises `Replayed` for what has been answered before.
    """

    def __init__(self, claims: Claims, key: str, request: bytes, user: Callable[[], UUID]) -> None:
        self._claims = claims
        self._key = key
        self._request = request  # a digest of it
        self._user = user  # a function, for the key is read before it is known who asks
        self._turn: Turn | None = None
        self._keeps_turn = False
        self._patience = WAIT
        self._tx: Transaction | None = None
        self._kept: Reply | None = None
        self.reply_to: Callable[[Any], Reply] | None = None
        """The answer to what an operation comes to, where it can be made before the commit."""

    @asynccontextmanager
    async def turn(self, reads: Reader) -> AsyncIterator[None]:
        """Around the transaction and what has to be done before it: raises `Replayed` where that is known already."""
        self._keeps_turn = True
        try:
            await self._take_turn()
            user_id, key = self._owner
            reply = await reads.first(replies.REPLY, user_id=user_id, key=key, now=clock.now())
            if reply is not None:
                self._answer(reply)
            yield
        finally:
            self._keeps_turn = False
            self._end_turn()

    async def wait(self) -> None:
        """Take the turn, if it has not been taken. Raises `Replayed` where the one before had the same request."""
        if self._turn is None:
            await self._take_turn()

    async def open(self, tx: Transaction) -> None:
        """Claim the key for a transaction that keeps the answer later."""
        await self.wait()
        user_id, key = self._owner
        now = clock.now()
        try:
            claimed = await tx.first(
                replies.CLAIM, **self._claiming(now, Reply(self.fingerprint, 0, b"", None, None, None))
            )
        except LockTimeout as error:
            raise _in_progress() from error
        if claimed is None:
            self._answer(await tx.one(replies.REPLY, user_id=user_id, key=key, now=now))
        self._tx = tx
        await failpoints.reach("idempotency.claimed")

    @property
    def can_be_at_once(self) -> bool:
        return self.reply_to is not None

    async def at_once(self, run: Callable[[Write], Awaitable[bool]], result: object) -> bool:
        """Claim the key and keep the answer, together with the effect; `False` also where the key is not free."""
        if self.reply_to is None:
            raise RuntimeError("nobody knows the answer before the commit")
        await self.wait()
        await failpoints.reach("idempotency.claimed")
        reply = self.reply_to(result)
        await failpoints.reach("idempotency.answered")
        try:
            written = await run(Write(replies.CLAIM.statement, self._claiming(clock.now(), reply)))
        except LockTimeout as error:
            raise _in_progress() from error
        if written:
            self._kept = reply
        return written

    def end(self, *, committed: bool) -> None:
        """Let those who wait for the key go on, with the answer if it is kept."""
        if committed and self._turn is not None:
            self._turn.reply = self._kept
        self._tx = self.reply_to = None  # which knows the request, and is known by it
        if not self._keeps_turn:
            self._end_turn()

    async def keep(self, tx: Transaction, reply: Reply) -> None:
        """Write the answer into the transaction that holds the key and is about to commit."""
        self._tx = None
        await failpoints.reach("idempotency.answered")
        user_id, key = self._owner
        await tx.execute(replies.SETTLE, owner_id=user_id, owned_key=key, **reply._asdict())
        self._kept = reply

    def extend(self, digest: Callable[[bytes], bytes]) -> None:
        """Take in what came after the key was read; before the transaction begins."""
        self._request = digest(self._request)

    @property
    def held_by(self) -> Transaction | None:
        """The open transaction that has claimed the key and keeps no answer yet."""
        return self._tx

    @property
    def fingerprint(self) -> bytes:
        return self._claims.fingerprint(self._request)

    @cached_property
    def _owner(self) -> Owner:
        return self._user(), self._key

    async def _take_turn(self) -> None:
        began = clock.monotonic()
        self._turn = await self._claims.take_turn(self._owner)
        self._patience = WAIT - (clock.monotonic() - began)
        if self._turn.reply is not None:
            self._answer(self._turn.reply)

    def _end_turn(self) -> None:
        turn, self._turn = self._turn, None
        if turn is not None:
            self._claims.end_turn(self._owner, turn)

    def _claiming(self, now: datetime, reply: Reply) -> dict[str, Any]:
        user_id, key = self._owner
        return {
            "new_user_id": user_id,
            "new_key": key,
            "new_expires_at": now + replies.KEPT,
            "now": now,
            "wait": str(max(1, int(self._patience * 1000))),  # 0 would mean for ever
            **dict(zip(_NEW, reply, strict=True)),
        }

    def _answer(self, reply: Reply) -> NoReturn:
        if not self._claims.is_of(self._request, reply.fingerprint):
            raise AppException(Code.IDEMPOTENCY_MISMATCH, "This Idempotency-Key was used for another request.")
        raise Replayed(reply)


def _in_progress() -> AppException:
    message = "A request with this Idempotency-Key is being served. Send yours again in a moment."
    return AppException(Code.IDEMPOTENCY_IN_PROGRESS, message, headers={"Retry-After": "1"})
