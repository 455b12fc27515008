"""The levels of budgets that this process knows (see `doable.core.limits`), in bounded memory."""

from collections import OrderedDict
from itertools import islice
from operator import itemgetter

from doable.core import clock

SECOND = 1_000_000_000
MAX_KEYS = 100_000
"""Keys remembered; beyond it the less used are forgotten first."""
_LOOKED_AT = 4
_FEW = 64
"""So many are kept without a look: who comes back soon costs least if nobody has forgotten him."""


def now() -> int:
    """The monotonic clock in the unit of levels."""
    return int(clock.monotonic() * SECOND)


class Levels:
    """When each key will be whole; if `shared`, also by how much it was raised that Redis has not been told of."""

    def __init__(self, *, shared: bool) -> None:
        self._shared = shared
        self._whole_at: OrderedDict[str, int] = OrderedDict()
        self._untold: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self._whole_at)

    def get(self, key: str, time: int) -> int:
        return max(0, self._whole_at.get(key, 0) - time)

    def add(self, key: str, whole_at: int, step: int, time: int) -> None:
        """Raise a level, or lower it. A step of 0 is worth telling, too: the answer brings what others did."""
        self._set(key, whole_at + step, time)
        if self._shared:
            self._untold[key] = self._untold.get(key, 0) + step

    def told(self, key: str, time: int) -> int:
        """The level without what Redis has not been told."""
        return max(0, self.get(key, time) - self._untold.get(key, 0))

    def untold(self, most: int, time: int) -> list[tuple[str, int]]:
        """The next keys to tell Redis of, and by how much they were raised."""
        # After a pause, of Redis or of this process, old hits have run out: no more is owed than is left of the level.
        return [(key, min(step, self.get(key, time))) for key, step in islice(self._untold.items(), most)]

    def tell(self, key: str) -> None:
        self._untold.pop(key, None)

    def learn(self, key: str, whole_at: int, time: int) -> None:
        """Take over what all workers know, where it is more than this one knew."""
        whole_at += self._untold.get(key, 0)
        if whole_at > max(time, self._whole_at.get(key, 0)):
            self._set(key, whole_at, time)

    def _set(self, key: str, whole_at: int, time: int) -> None:
        if len(self._whole_at) >= _FEW and key not in self._whole_at:
            self._make_room(time)
        self._whole_at[key] = whole_at

    def _make_room(self, time: int) -> None:
        """Look at the next few keys in turn: forget those that are whole, and of a full memory the least used one."""
        few = [self._whole_at.popitem(last=False) for _ in range(min(_LOOKED_AT, len(self._whole_at)))]
        few.sort(key=itemgetter(1), reverse=True)
        while few and (few[-1][1] <= time or len(self._whole_at) + len(few) >= MAX_KEYS):
            self.tell(few.pop()[0])
        self._whole_at.update(few)
