"""The file that an export writes, as it is read again."""

import re
from collections.abc import Iterator
from typing import NoReturn

from doable.core.http import body
from doable.transfer.schemas import FORMAT, VERSION
from doable.transfer.sources import KINDS, MOST_BYTES, Element, malformed, unknown

# Possessive, so that a string without an end costs one look at each byte.
_TOKEN = re.compile(rb'"(?:[^"\\]|\\.)*+("?)|[\[\]{}]', re.DOTALL)
_IN_ARRAY = 2
"""How deep the elements are: in the arrays of the one object."""


class Document:
    """Cuts the elements out of the arrays; what is left is small, and parsed as a whole at the end."""

    name = FORMAT

    def __init__(self) -> None:
        self._buffer = b""
        self._scanned = 0
        self._depth = 0
        self._member = b""
        self._begun: int | None = None  # where an element begins
        self._follows = False  # an element of the same array came before
        self._frame = b""

    def feed(self, piece: bytes) -> Iterator[Element]:
        self._buffer += piece
        yield from self._cut()
        if len(self._buffer) > MOST_BYTES + len(piece) or len(self._frame) > MOST_BYTES:
            malformed(f"A part of the file has more than {MOST_BYTES} bytes.")

    def close(self) -> Iterator[Element]:
        frame = body.parse(self._frame + self._buffer)
        if not isinstance(frame, dict) or (frame.get("format"), frame.get("version")) != (FORMAT, VERSION):
            unknown(f'Only files with "format": "{FORMAT}" and "version": {VERSION} are known.')
        for kind in KINDS:
            if frame.get(kind, []) != []:  # what is left of an array when its objects are cut out
                _refuse(kind)
        yield from ()

    def _cut(self) -> Iterator[Element]:
        kept = 0
        for token in _TOKEN.finditer(self._buffer, self._scanned):
            first = token[0][:1]
            if first == b'"':
                if not token[1]:
                    self._scanned = token.start()
                    break
                if self._depth == 1:
                    self._member = token[0][1:-1]
            elif first in {b"{", b"["}:
                self._open(token.start(), kept)
            elif self._close(token.end()) and self._begun is not None:
                yield self._element(self._buffer[self._begun : token.end()])
                kept, self._begun, self._follows = token.end(), None, True
        else:
            self._scanned = len(self._buffer)
        self._forget(kept if self._begun is None else self._begun)

    def _open(self, start: int, kept: int) -> None:
        if self._depth == _IN_ARRAY:
            between = self._buffer[kept:start]
            if not self._follows:
                self._frame += between
            elif between.strip() != b",":
                malformed("The body is not JSON: elements of an array have one comma between them.")
            self._begun = start
        self._depth += 1

    def _close(self, _end: int) -> bool:
        self._depth -= 1
        if self._depth < _IN_ARRAY:
            self._follows = False
        return self._depth == _IN_ARRAY

    def _element(self, text: bytes) -> Element:
        body.parse(text)
        kind = self._member.decode("utf-8", "replace")
        if kind not in KINDS:
            return Element("", text)
        if not text.startswith(b"{"):
            _refuse(kind)
        return Element(kind, text)

    def _forget(self, before: int) -> None:
        self._buffer = self._buffer[before:]
        self._scanned -= before
        if self._begun is not None:
            self._begun = 0


def _refuse(kind: str) -> NoReturn:
    unknown(f'"{kind}" has to be an array of objects.')
