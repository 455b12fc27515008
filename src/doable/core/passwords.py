"""How passwords are hashed and compared, and which ones are too weak."""

import asyncio
import base64
import itertools
import os
import string
import sys
import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from importlib import resources
from typing import NamedTuple

from pwdlib import PasswordHash
from pwdlib.hashers.argon2 import Argon2Hasher

from doable.core import ids, text
from doable.core.errors import AppException, Code

NICENESS = 19
"""The most there is. Where this thread shares a core with the loop, that waits for slices of 4 ms: at 15 they came
twice as often, and were what one read in a hundred waited for."""
SHARE = 16
"""Places in the queue that one network of strangers may take."""
RESERVE = 16
"""Places that strangers leave to those who have authenticated."""

_AROUND = string.digits + string.punctuation + " "
_KINDS_OF_CHARACTER = 3
_REST = 4
_COMMON = frozenset(
    line
    for line in resources.files("doable.core").joinpath("common_passwords.txt").read_text("utf-8").splitlines()
    if not line.startswith("##")
)


class Cost(NamedTuple):
    """Of one hash, for us and for who guesses."""

    memory_kib: int
    passes: int
    lanes: int


COST = Cost(memory_kib=19456, passes=2, lanes=1)


class Verified(NamedTuple):
    """`rehashed`: a hash to store instead, when the one stored was made with other parameters."""

    ok: bool
    rehashed: str | None


class Hasher:
    """Argon2id on one thread of little urgency, behind a bounded queue: requests keep their pace while people log in.

    Passwords are hashed in NFC (as RFC 8265 has it): the same text composed otherwise by another keyboard is the same
    password, and nothing that looks different is. They are neither trimmed nor cut.

    `share` names the network of a stranger: it has a bounded part of the queue, and all strangers leave a reserve, so
    that no flood of logins keeps those out who are in. `None` is somebody who has authenticated.
    """

    def __init__(self, *, queue_limit: int = 64) -> None:
        self.hashed = 0
        self._queue_limit = queue_limit
        self._waiting = 0
        self._strangers: Counter[str] = Counter()
        self._argon2id = PasswordHash(
            (Argon2Hasher(memory_cost=COST.memory_kib, time_cost=COST.passes, parallelism=COST.lanes),)
        )
        self._nobodys = _hash_of_nothing()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="hasher", initializer=_give_way)

    async def hash(self, password: str, *, share: str | None = None) -> str:
        return await self._run(share, self._hash, password)

    async def verify(self, password: str, stored: str | None, *, share: str | None = None) -> Verified:
        """Takes the same work whether or not there is such an account, or it has a password."""
        return await self._run(share, self._verify, password, stored)

    def close(self) -> None:
        """What waits is still answered; nothing more is taken."""
        self._thread.shutdown(wait=False)

    async def _run[*A, T](self, share: str | None, work: Callable[[*A], T], *arguments: *A) -> T:
        if self._is_full(share):
            raise AppException(Code.UNAVAILABLE, "Too many people are logging in.", headers={"Retry-After": "1"})
        self._waiting += 1
        if share is not None:
            self._strangers[share] += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, work, *arguments)
        finally:
            self._waiting -= 1
            if share is not None:
                self._strangers[share] -= 1
                self._strangers += Counter()  # what is zero goes

    def _is_full(self, share: str | None) -> bool:
        if self._waiting >= self._queue_limit:
            return True
        if share is None:
            return False
        return self._strangers[share] >= SHARE or self._strangers.total() >= self._queue_limit - RESERVE

    def _hash(self, password: str) -> str:
        self.hashed += 1
        return self._argon2id.hash(text.clean(password))

    def _verify(self, password: str, stored: str | None) -> Verified:
        self.hashed += 1
        if stored is None or not Argon2Hasher.identify(stored):
            stored = self._nobodys
        ok, rehashed = self._argon2id.verify_and_update(text.clean(password), stored)
        self.hashed += rehashed is not None
        return Verified(ok, rehashed)


def weakness(password: str, *personal: str) -> str | None:
    """Why a guesser would try it early, as a sentence. `personal`: the person's username and e-mail address."""
    folded = text.key(password)
    if len(set(folded)) < _KINDS_OF_CHARACTER or _is_a_run(folded):
        return "The password is too regular; choose one that is harder to guess."
    if folded in _COMMON or folded.strip(_AROUND) in _COMMON:
        return "The password is one of the most common ones; choose one that is harder to guess."
    words = {text.key(word) for name in personal for word in (name, name.partition("@")[0])}
    if any(_is_little_more_than(word, folded) for word in words):
        return "The password is little more than your own name or address; choose one that is harder to guess."
    return None


def _is_a_run(folded: str) -> bool:
    """`12345678`, `987654321`, `abcdefgh`; 0 follows 9."""
    steps = {
        (ord(after) - ord(before)) % 10 if (before + after).isdecimal() else ord(after) - ord(before)
        for before, after in itertools.pairwise(folded)
    }
    return steps in ({1}, {-1}, {9})


def _is_little_more_than(word: str, folded: str) -> bool:
    return len(word) >= _KINDS_OF_CHARACTER and word in folded and len(folded.replace(word, "").strip(_AROUND)) < _REST


def _hash_of_nothing() -> str:
    """Looks like a hash of today's parameters, costs as much to compare with, and has no password."""
    salt, hashed = (
        base64.b64encode(secret).rstrip(b"=").decode() for secret in (ids.new_secret()[:16], ids.new_secret())
    )
    return f"$argon2id$v=19$m={COST.memory_kib},t={COST.passes},p={COST.lanes}${salt}${hashed}"


def _give_way() -> None:
    if sys.platform == "linux":  # where the priority of a thread can be set apart from its process
        with suppress(OSError):  # a sandbox may refuse it; then hashing is as urgent as the rest
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICENESS)
