"""Plain tables for people: columns as wide as they need to be, two spaces apart."""

from collections.abc import Iterable, Sequence

from doable.core import logs


def render(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """What people have typed cannot move the cursor of who reads it."""
    lines = [head, *([logs.printable(cell) for cell in row] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join("  ".join(map(str.ljust, line, widths)).rstrip() for line in lines)
