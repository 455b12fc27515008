"""Manual order: positions are texts that compare by bytes.

A position is an integer of variable length, its length first, in base 62 (`a1`, `az`, `b10`), as in the integer part of
the fractional index described by David Greenspan, "Implementing Fractional Indexing" (2020); fractions may follow it.
"""

from collections.abc import Sequence

LONGEST = 64
"""Every few hundred todos that are put at one place make a position longer than this; then `spread` shortens them."""
SHORT = 32

_DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_FEWEST = 8


def at_end(revision: int) -> str:
    """The position behind all others of a list.

    Every position of a list was made at an earlier revision of it and is not beyond that revision's, so the revision,
    which the writer holds locked, says where the end is: no look for the last position, and no two are the same.
    """
    digits = ""
    while revision:
        revision, digit = divmod(revision, len(_DIGITS))
        digits = _DIGITS[digit] + digits
    return chr(ord("a") + len(digits) - 1) + digits


def between(left: str, right: str) -> str | None:
    """A short position between two, the middle one where there are several; `None` when it would be too long."""
    middle = _middle(left, right) if left < right else ""
    return middle if left < middle < right and len(middle) <= LONGEST else None


def spread(positions: Sequence[str], index: int, end: str) -> tuple[int, list[str]]:
    """Make room before `positions[index]`: new positions for as few as will do around it, and the first one's index.

    The new positions have one more among them, for what comes into the gap. `end` is beyond all positions.
    """
    reach = _FEWEST
    while True:
        start, stop = max(0, index - reach), min(len(positions), index + reach)
        left = positions[start - 1] if start else ""
        right = positions[stop] if stop < len(positions) else end
        renewed = _evenly(left, right, stop - start + 1)
        if renewed is not None and max(map(len, renewed)) <= SHORT:
            return start, renewed
        reach *= 2


def _evenly(left: str, right: str, count: int) -> list[str] | None:
    if count == 0:
        return []
    half = between(left, right)
    before = half and _evenly(left, half, count // 2)
    after = half and _evenly(half, right, count - 1 - count // 2)
    return None if half is None or before is None or after is None else [*before, half, *after]


def _middle(left: str, right: str) -> str:
    """Of `left < right`; none is between "b1" and "b10", and the answer is not either."""
    for index, digit in enumerate(right):
        low = _DIGITS.index(left[index]) if index < len(left) else 0
        high = _DIGITS.index(digit)
        if high - low > 1:
            return right[:index] + _DIGITS[(low + high + 1) // 2]
        if high > low:
            if index + 1 < len(right):
                return right[: index + 1]
            return right[:index] + _DIGITS[low] + _above(left[index + 1 :])
    return right


def _above(digits: str) -> str:
    """Something short that is more than these digits."""
    for index, digit in enumerate(digits):
        if digit != _DIGITS[-1]:
            return digits[:index] + _DIGITS[(_DIGITS.index(digit) + len(_DIGITS) + 1) // 2]
    return digits + _DIGITS[len(_DIGITS) // 2]
