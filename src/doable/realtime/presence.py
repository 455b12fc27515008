"""Who is in a room: those with a connection to this process, and those that other processes tell of."""

from uuid import UUID

from doable.accounts.schemas import UserRef
from doable.core import clock

FORGOTTEN_AFTER = 40.0
"""Seconds after which a process that has said nothing more of a room has nobody in it."""


class Changes:
    """Who has come and who has gone, for the room as a whole."""

    def __init__(self, before: dict[UUID, UserRef], after: dict[UUID, UserRef]) -> None:
        self.joined = [user for id_, user in after.items() if id_ not in before]
        self.left = [user for id_, user in before.items() if id_ not in after]


class Presence:
    """A person is in the room while any of his connections is."""

    def __init__(self) -> None:
        self._here: dict[UUID, tuple[UserRef, int]] = {}
        self._elsewhere: dict[str, tuple[float, dict[UUID, UserRef]]] = {}

    @property
    def here(self) -> list[UserRef]:
        return [user for user, _ in self._here.values()]

    @property
    def online(self) -> dict[UUID, UserRef]:
        everybody = {id_: user for _, people in self._elsewhere.values() for id_, user in people.items()}
        return everybody | {id_: user for id_, (user, _) in self._here.items()}

    def enter(self, user: UserRef) -> Changes:
        before = self.online
        _, connections = self._here.get(user.id, (user, 0))
        self._here[user.id] = (user, connections + 1)
        return Changes(before, self.online)

    def leave(self, user: UserRef) -> Changes:
        before = self.online
        _, connections = self._here.pop(user.id, (user, 0))
        if connections > 1:
            self._here[user.id] = (user, connections - 1)
        return Changes(before, self.online)

    def hear(self, process: str, people: list[UserRef]) -> Changes:
        before = self.online
        self._elsewhere.pop(process, None)
        if people:
            self._elsewhere[process] = (clock.monotonic(), {user.id: user for user in people})
        return Changes(before, self.online)

    def forget(self) -> Changes:
        """The processes that are gone without a word."""
        before = self.online
        horizon = clock.monotonic() - FORGOTTEN_AFTER
        self._elsewhere = {name: told for name, told in self._elsewhere.items() if told[0] > horizon}
        return Changes(before, self.online)
