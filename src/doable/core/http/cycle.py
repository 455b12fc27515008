"""uvicorn's exchange of a request and its answer, with the common answer written cheaply: at once, head and body."""

from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any, override

from uvicorn.protocols.http.httptools_impl import HEADER_RE, STATUS_LINE, RequestResponseCycle

WHOLE = "doable.whole"
"""The extension of ASGI by which a whole answer is handed over in one call: its `answer` is `Cycle.answer`."""

_UNUSUAL = frozenset((b"connection", b"transfer-encoding"))
_CONTROL = bytes([*range(9), *range(10, 32), 127])
_FINE = bytes(byte for byte in range(256) if byte not in _CONTROL)


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

    def answer(self, status: int, headers: Mapping[bytes, bytes], lines: bytes, body: bytes) -> bool:
        """Write a whole answer. `False`: this is no common one, and nothing has happened.

        `lines` are headers of which each starts with the end of the line before; nobody looks at them any more.
        """
        if self.response_started or not self._is_common() or self.flow.write_paused or self.scope["method"] == "HEAD":
            return False
        head = self._made(status, headers)
        if head is None or self.expected_content_length != len(body):
            return False
        self._complete(b"".join((head, lines, b"\r\n\r\n", body)))
        return True

    def _is_common(self) -> bool:
        return self.keep_alive and not self.more_body and not self.disconnected

    def _starts(self, message: Any) -> bool:
        """Whether this is the common start of an answer, whose head is now made."""
        if message["type"] != "http.response.start" or not self._is_common():
            return False
        given = message.get("headers", ())
        headers = dict(given)
        head = self._made(message["status"], headers) if len(headers) == len(given) else None
        if head is None:
            return False
        self._head = head + b"\r\n\r\n"
        self.chunked_encoding = False
        self.response_started = True
        self.waiting_for_100_continue = False
        return True

    def _made(self, status: int, headers: Mapping[bytes, bytes]) -> bytes | None:
        """The status and these headers; `None` if they have to be looked at closely."""
        length = headers.get(b"content-length", b"")
        template, default = _template(status, tuple(headers)), _written(tuple(self.default_headers))
        values = tuple(headers.values())
        if template is None or default is None or not length.isdigit() or _controls(values):
            return None
        self.expected_content_length = int(length)
        return template % (default, *values)

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


@lru_cache(maxsize=256)
def _template(status: int, names: tuple[bytes, ...]) -> bytes | None:
    """A head that lacks the headers of all answers, then the values of these; `None` if uvicorn has to look at it."""
    lines = _lines(names)
    return None if lines is None else STATUS_LINE[status][:-2] + b"%b" + lines


@lru_cache(maxsize=4)
def _written(headers: tuple[tuple[bytes, bytes], ...]) -> bytes | None:
    """The headers of all answers, which change once in a second."""
    lines, values = _lines([name for name, _ in headers]), tuple(value for _, value in headers)
    return None if lines is None or _controls(values) else lines % values


def _lines(names: Iterable[bytes]) -> bytes | None:
    lowered = [name.lower() for name in names]
    if not _UNUSUAL.isdisjoint(lowered) or lowered.count(b"content-length") > 1 or any(map(HEADER_RE.search, lowered)):
        return None
    return b"".join(b"\r\n%b: %%b" % name.replace(b"%", b"%%") for name in lowered)


def _controls(values: Iterable[bytes]) -> bytes:
    """What is in values and may not be: it could end a line."""
    return b"".join(values).translate(None, _FINE)
