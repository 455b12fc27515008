"""How much somebody may say: so much a second, and so much at once."""

from doable.core import clock


class Pace:
    __slots__ = ("__weakref__", "_at", "_left", "_most", "_per_second")

    def __init__(self, per_second: float, at_once: float) -> None:
        self._per_second, self._most = per_second, at_once
        self._left, self._at = at_once, clock.monotonic()

    def take(self, amount: float = 1) -> bool:
        """Whether that much is left; what is refused does not count."""
        now = clock.monotonic()
        self._left, self._at = min(self._most, self._left + (now - self._at) * self._per_second), now
        if amount > self._left:
            return False
        self._left -= amount
        return True
