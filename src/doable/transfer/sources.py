"""A file that comes in, in pieces: no more of it is in memory than the element that is under way."""

from collections.abc import Iterator
from typing import NamedTuple, NoReturn, Protocol

from doable.core.errors import AppException, Code

MOST_BYTES = 256 * 1024
"""Of one element, and of what is around all of them."""
KINDS = ("lists", "todos", "occurrences")


class Element(NamedTuple):
    """One list, todo or occurrence as JSON."""

    kind: str
    text: bytes


class Source(Protocol):
    """One format. What is wrong with a file as a whole is raised, by both methods."""

    name: str

    def feed(self, piece: bytes) -> Iterator[Element]:
        """What is complete with this piece."""

    def close(self) -> Iterator[Element]:
        """What is left at the end."""


def malformed(message: str) -> NoReturn:
    raise AppException(Code.MALFORMED_REQUEST, message)


def unknown(message: str) -> NoReturn:
    """It can be read, but is nothing that can be imported."""
    raise AppException(
        Code.VALIDATION_ERROR, "The request is not valid.", [{"field": "body", "message": message, "type": "format"}]
    )
