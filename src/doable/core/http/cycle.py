"""uvicorn's exchange of a request and its answer, with the common answer written cheaply: at once, head and body."""

from collections.abc import Iterable
from typing import Any, override

from uvicorn.protocols.http.httptools_impl import HEADER_RE, STATUS_LINE, RequestResponseCycle

MOST_NAMES = 256
WHOLE = "doable.whole"
"""The extension of ASGI by which a whole answer is handed over in one call: its `answer` is `Cycle.answer`."""

type Headers = Iterable[tuple[bytes, bytes]]

_LENGTH = b"\r\ncontent-length: "
_UNUSUAL = frozenset((b"", b"\r\nconnection: ", b"\r\ntransfer-encoding: "))
_CONTROL = bytes([*range(9), *range(10, 32), 127])
_FINE = bytes(byte for byte in range(256) if byte not in _CONTROL)


class _Starts(dict[bytes, bytes]):
    """By the name of a header how its line starts; empty if it is none. A name is looked at once: they are few."""

    def __missing__(self, name: bytes) -> bytes:
        start = b"" if HEADER_RE.search(name) else b"\r\n%b: " % name.lower()
        if len(self) < MOST_NAMES:
            self[name] = start
        return start


_starts = _Starts()


class Cycle(RequestResponseCycle):
    """A head that tells its length waits for its body, which follows at once. What is unusual is left to uvicorn."""

    _head = b""
    """Made, and not written yet."""

    @override
    async def send(self, message: Any) -> None:
        if self._head:
            if self._completes(message):
                return
        elif not self.response_started and self._starts(message):
            return
        await super().send(message)

    def answer(self, status: int, headers: Headers, lines: bytes, body: bytes) -> bool:
        """Write a whole answer. `False`: this is no common one, and nothing has happened.

        `lines` are headers of which each starts with the end of the line before; nobody looks at them any more.
        """
        if self.response_started or not self._is_common() or self.flow.write_paused or self.scope["method"] == "HEAD":
            return False
        head = self._made(status, headers)
        if head is None or self.expected_content_length != len(body):
            return False
        self._complete(b"%b%b\r\n\r\n%b" % (head, lines, body))
        return True

    def _is_common(self) -> bool:
        return self.keep_alive and not self.more_body and not self.disconnected

    def _starts(self, message: Any) -> bool:
        """Whether this is the common start of an answer, whose head is now made."""
        if message["type"] != "http.response.start" or not self._is_common():
            return False
        head = self._made(message["status"], message.get("headers", ()))
        if head is None:
            return False
        self._head = head + b"\r\n\r\n"
        self.chunked_encoding = False
        self.response_started = True
        self.waiting_for_100_continue = False
        return True

    def _made(self, status: int, headers: Headers) -> bytes | None:
        """The status and these headers; `None` if they have to be looked at closely."""
        length = b""
        parts = [STATUS_LINE[status][:-2]]
        for name, value in (*self.default_headers, *headers):
            start = _starts[name]
            if start in _UNUSUAL:
                return None
            if start == _LENGTH:
                length = value
            parts += start, value
        if not length.isdigit() or b"".join(parts[2::2]).translate(None, _FINE):
            return None
        self.expected_content_length = int(length)
        return b"".join(parts)

    def _completes(self, message: Any) -> bool:
        """Write the head, and with it the body if that is the whole of it."""
        head, self._head = self._head, b""
        if self.disconnected:
            return False
        body = message.get("body", b"")
        if (
            message["type"] != "http.response.body"
            or message.get("more_body", False)
            or len(body) != self.expected_content_length
            or self.scope["method"] == "HEAD"
            or self.flow.write_paused
            or not self.keep_alive  # any more: the server stops
        ):
            self.transport.write(head)
            return False
        self._complete(head + body)
        return True

    def _complete(self, written: bytes) -> None:
        self.transport.write(written)
        self.expected_content_length = 0
        self.response_started = self.response_complete = True
        self.message_event.set()
        self.on_response()
