"""The bell between processes: which stream has moved, and what is worth telling but not worth keeping.

Nothing rests on it. It may be flushed, hung or dead: whoever watches a stream asks the database every second anyway.
"""

from collections.abc import Callable, Hashable, Mapping
from uuid import UUID

from doable.core import ids

LARGEST = 2**63 - 1
"""No database has a larger revision, or can be asked about one."""

type Moved = Callable[[UUID, int], None]
"""Told that a stream has a revision, perhaps an old one, perhaps again."""
type Said = Callable[[bytes], None]
"""Told what another process has said."""


class LocalHub:
    """Reaches nobody but this process; the other hubs reach all of them."""

    def __init__(self) -> None:
        self.process = str(ids.new_id())
        self._moved: list[Moved] = []
        self._said: list[Said] = []

    @property
    def degraded(self) -> bool:
        """Whether other processes should be reached but are not."""
        return False

    def on_moved(self, moved: Moved) -> None:
        self._moved.append(moved)

    def on_said(self, said: Said) -> None:
        self._said.append(said)

    def announce(self, announced: Mapping[Hashable, int]) -> None:
        """For `Database.listeners`: returns at once and never fails."""
        for stream_id, revision in announced.items():
            if isinstance(stream_id, UUID):
                self.hear_moved(stream_id, revision)

    def say(self, payload: bytes) -> None:
        """Tell the other processes, if it can be done for very many things said."""

    def say_seldom(self, payload: bytes) -> None:
        """Tell them, if it can be done at all: it may cost more."""
        self.say(payload)

    def hear_moved(self, stream_id: UUID, revision: int) -> None:
        if not 0 <= revision < LARGEST:
            return
        for moved in self._moved:
            moved(stream_id, revision)

    def hear_said(self, payload: bytes) -> None:
        for said in self._said:
            said(payload)

    async def start(self) -> None:
        """Begin to reach the other processes; returns at once, whether or not they can be reached."""

    async def close(self) -> None: ...
