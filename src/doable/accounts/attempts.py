"""How guessing is slowed down: after five failures in a row a name has to wait, each time twice as long.

An attempt is counted before its password is hashed and taken back by success, so that guesses sent at once
cannot all pass; the counting is a transaction of its own, so that it outlives the refusal that follows.
"""

import hashlib
import math
from datetime import datetime, timedelta
from uuid import UUID

from doable.accounts.statements import attempts as statements
from doable.core import clock
from doable.core.db import Database, Transaction, UniqueViolation
from doable.core.errors import AppException, Code

FREE = 5
LONGEST_WAIT = timedelta(minutes=15)
FORGOTTEN_AFTER = timedelta(days=1)
_DOUBLINGS = 10  # 2 ** 10 s is more than the longest wait


def login_counter(user_id: UUID | None, key: str) -> bytes:
    """The counter of an account by whichever name it is called; an unknown name has one of its own."""
    return _digest(f"login:{user_id or key}")


def password_counter(user_id: UUID) -> bytes:
    """For questions of a logged-in user, whom strangers at the login must not lock out."""
    return _digest(f"password:{user_id}")


async def count(db: Database, counter: bytes) -> None:
    """Count an attempt as failed for now. Raises RATE_LIMITED, uncounted, while the counter has to wait."""
    try:
        await _count(db, counter)
    except UniqueViolation:  # another was the first at the same time; now there is a row to lock
        await _count(db, counter)


async def take_back(db: Database, counter: bytes) -> None:
    """An attempt came to nothing: no password was compared."""
    now = clock.now()
    async with db.transaction() as tx:
        await tx.execute(statements.TAKE_BACK_ATTEMPT, counter=counter, until=now)


async def reset(tx: Transaction, counter: bytes) -> None:
    await tx.execute(statements.RESET_ATTEMPTS, key=counter)


async def forget_old(tx: Transaction, now: datetime) -> None:
    await tx.execute(statements.FORGET_ATTEMPTS, before=now - FORGOTTEN_AFTER)


async def _count(db: Database, counter: bytes) -> None:
    now = clock.now()
    async with db.transaction() as tx:
        row = await tx.first(statements.LOCKED_ATTEMPTS, key=counter)
        if row is None:
            await tx.execute(statements.INSERT_ATTEMPT, key=counter, failures=1, blocked_until=now)
            return
        if row.blocked_until > now:
            raise _wait((row.blocked_until - now).total_seconds())
        failures = 1 if row.blocked_until < now - FORGOTTEN_AFTER else row.failures + 1
        await tx.execute(statements.COUNT_ATTEMPT, counter=counter, count=failures, until=now + _delay(failures))


def _delay(failures: int) -> timedelta:
    if failures < FREE:
        return timedelta()
    return min(timedelta(seconds=2 ** min(failures - FREE, _DOUBLINGS)), LONGEST_WAIT)


def _wait(seconds: float) -> AppException:
    whole = math.ceil(seconds)
    message = f"Too many failed attempts: try again in {whole} s."
    return AppException(Code.RATE_LIMITED, message, headers={"Retry-After": str(whole)})


def _digest(name: str) -> bytes:
    return hashlib.sha256(name.encode()).digest()
