"""Manual order: positions are texts that compare by bytes.

A position is an integer of variable length, its length first, in base 62 (`a1`, `az`, `b10`), as in the integer part of
the fractional index described by David Greenspan, "Implementing Fractional Indexing" (2020); fractions may follow it.
"""

_DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


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
