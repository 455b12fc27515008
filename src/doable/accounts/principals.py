"""Who was behind a credential when the database was last asked: remembered for moments, and forgotten at its end."""

from collections.abc import Collection
from datetime import datetime, timedelta
from typing import NamedTuple, Protocol
from uuid import UUID

from doable.accounts.endings import Endings

MOST = 5_000
"""Credentials that are remembered; beyond it those that were found first are forgotten first."""
LONGEST = timedelta(seconds=10)
"""After this the database is asked again, whatever has been told: somebody may have written to it by hand."""


class Principal(Protocol):
    @property
    def user_id(self) -> UUID: ...


class _Known[P](NamedTuple):
    principal: P
    since: datetime
    until: datetime


class Principals[P: Principal]:
    """One for a process. What it says is as good as a look into the database not more than a second ago."""

    def __init__(self, endings: Endings) -> None:
        self._endings = endings
        self._known: dict[str, _Known[P]] = {}
        self._endings_told = 0
        endings.listen(self._forget)

    def find(self, credential: str, now: datetime) -> P | None:
        """`None` where the database has to be asked: also while an end is known that was not read yet."""
        known = self._known.get(credential)
        if known is None or not known.since <= now < known.until or not self._endings.settled:
            return None
        return known.principal

    def asking(self) -> int:
        """Before the database is asked: what to hand to `remember`."""
        return self._endings_told

    def remember(self, credential: str, principal: P, asked: int, now: datetime, until: datetime | None) -> None:
        """`until`: when it ends by itself. Not where something has ended since the question: it may have been this."""
        if asked != self._endings_told:
            return
        if len(self._known) >= MOST:
            del self._known[next(iter(self._known))]
        longest = now + LONGEST
        self._known[credential] = _Known(principal, now, longest if until is None else min(until, longest))

    def _forget(self, user_ids: Collection[UUID] | None) -> None:
        self._endings_told += 1
        if user_ids is None:
            self._known.clear()
        else:
            self._known = {
                credential: known
                for credential, known in self._known.items()
                if known.principal.user_id not in user_ids
            }
