"""How guessing is slowed down: after some failures in a row one has to wait, each time twice as long.

What is counted is the name that was presented, never the account behind it: the counters of a username and of an
address say nothing of each other, nor of whether anybody has them. Each network has a counter of its own for each
name, so that a stranger who guesses keeps himself waiting and not the owner; a looser one counts what all networks
together do to a name in a day, so that many hosts do not have many times the guesses.

An attempt is counted before its password is hashed and taken back by success, so that guesses sent at once
cannot all pass; the counting is a transaction of its own, so that it outlives the refusal that follows.
"""

import hashlib
import math
from datetime import datetime, timedelta
from typing import NamedTuple
from uuid import UUID

from doable.accounts.statements import attempts as statements
from doable.accounts.statements.attempts import Attempts
from doable.core import clock
from doable.core.db import Database, Transaction
from doable.core.errors import AppException, Code

FREE = 5
FREE_EVERYWHERE = 200
"""More than one network, which has to wait, can fail in a day."""
LONGEST_WAIT = timedelta(minutes=15)
FORGOTTEN_AFTER = timedelta(days=1)
_HALF = 16  # bytes of a login counter's key that are the name's; the others are the network's
_DOUBLINGS = 10  # 2 ** 10 s is more than the longest wait


class Counter(NamedTuple):
    """`free`: failures before one has to wait."""

    key: bytes
    free: int


def login_counters(key: str, network: str) -> tuple[Counter, ...]:
    """The counters of a name at the login: from this network, and from all of them today."""
    prefix, today = _prefix(key), clock.now().date().isoformat()
    return (
        Counter(prefix + _digest("network", network)[:_HALF], FREE),
        Counter(prefix + _digest("everywhere", today)[:_HALF], FREE_EVERYWHERE),
    )


def password_counter(user_id: UUID) -> Counter:
    """For questions of a logged-in user, whom strangers at the login must not lock out."""
    return Counter(_digest("password", str(user_id)), FREE)


async def count(db: Database, *counters: Counter) -> None:
    """Count an attempt as failed for now. Raises RATE_LIMITED, uncounted, while one of the counters has to wait."""
    now = clock.now()
    async with db.transaction() as tx:
        rows = [
            (counter, await tx.one(statements.TAKEN, key=counter.key, failures=0, blocked_until=now))
            for counter in sorted(counters)
        ]
        wait = max(_left(counter, row, now) for counter, row in rows)
        if wait > timedelta():
            raise _wait(wait.total_seconds())
        for counter, row in rows:
            failures = 1 if row.blocked_until < now - FORGOTTEN_AFTER else row.failures + 1
            until = now + _delay(counter, failures)
            await tx.execute(statements.COUNT_ATTEMPT, counter=counter.key, count=failures, until=until)


async def take_back(db: Database, *counters: Counter) -> None:
    """An attempt came to nothing: no password was compared."""
    now = clock.now()
    async with db.transaction() as tx:
        for counter in sorted(counters):
            await tx.execute(statements.TAKE_BACK_ATTEMPT, counter=counter.key, until=now)


async def reset(tx: Transaction, *counters: Counter) -> None:
    for counter in sorted(counters):
        await tx.execute(statements.RESET_ATTEMPTS, key=counter.key)


async def reset_name(tx: Transaction, key: str) -> None:
    """Let everybody try this name at the login again: it has got a new password."""
    prefix = _prefix(key)
    await tx.execute(statements.RESET_NAME, first=prefix + b"\x00" * _HALF, last=prefix + b"\xff" * _HALF)


def _prefix(key: str) -> bytes:
    return _digest("login", key)[:_HALF]


def _left(counter: Counter, row: Attempts, now: datetime) -> timedelta:
    """What is left to wait. More than the longest wait was written before the clock was put back, and is over."""
    left = row.blocked_until - now
    return timedelta() if row.failures < counter.free or left > LONGEST_WAIT else left


def _delay(counter: Counter, failures: int) -> timedelta:
    if failures < counter.free:
        return timedelta()
    return min(timedelta(seconds=2 ** min(failures - counter.free, _DOUBLINGS)), LONGEST_WAIT)


def _wait(seconds: float) -> AppException:
    whole = math.ceil(seconds)
    message = f"Too many failed attempts: try again in {whole} s."
    return AppException(Code.RATE_LIMITED, message, headers={"Retry-After": str(whole)})


def _digest(kind: str, name: str) -> bytes:
    """No kind has a colon, so no name looks like another kind with another name."""
    return hashlib.sha256(f"{kind}:{name}".encode()).digest()
