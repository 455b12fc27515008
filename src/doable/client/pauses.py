"""How long to wait before the next attempt: longer each time, and not equally long for all."""

import random


class Pauses:
    def __init__(self, first: float, longest: float) -> None:
        self._first = first
        self._longest = longest
        self._count = 0

    def reset(self) -> None:
        self._count = 0

    def next(self, asked: float | None = None) -> float:
        """Seconds; at least what the server has asked for."""
        self._count = min(self._count + 1, 16)
        own = random.uniform(self._first, min(self._longest, self._first * 2**self._count))  # noqa: S311 — no secret
        return max(own, asked or 0.0)
