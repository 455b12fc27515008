"""How a record becomes one safe line of the log: secrets out, control characters escaped, rendered and written."""

import asyncio
import json
import queue
import re
import sys
import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import TextIO

import orjson
import structlog
from structlog.typing import EventDict, WrappedLogger

from doable.core import clock

SECRET_NAME = re.compile(r"passw|secret|token|authorization|cookie|credential|api_?key", re.IGNORECASE)
SECRET_VALUE = re.compile(
    r"(?<=bearer )\S+"  # a credential in a header
    r"|\bdb[iklmr]_[\w-]+"  # an invitation, a ticket, an API token, a mailed one, a refresh token
    r"|\bwhsec_[\w+/=-]+"  # what signs a webhook's deliveries
    r"|\beyJ[\w-]+\.[\w-]+\.[\w-]*"  # a JWT
    r"|(?<=://)[^\s/]*(?=@)",  # user and password in a URL
    re.IGNORECASE,
)
REDACTED = "[redacted]"
FLUSH_SECONDS = 0.1
FLUSH_LINES = 500
BACKLOG = 1_000
LAST_SECONDS = 2.0

type Render = Callable[[EventDict], str]


class Output:
    """The end of the log: one for the process, so that lines from all sides keep their order.

    A thread writes. A disk that is full or a pipe that nobody empties costs the log, not the server: when `BACKLOG`
    texts wait, the next are dropped, and counted.
    """

    def __init__(self) -> None:
        self.render: Render = json_line
        self.stream: TextIO | None = None  # none: standard error, whatever that is at the time
        self._lines: deque[str] = deque()  # of all threads: none of its methods can be interrupted
        self._loop: asyncio.AbstractEventLoop | None = None  # which will hand over what is waiting
        # A finalizer may log while a line is handed over on the same thread.
        self._lock = threading.RLock()
        self._texts: queue.Queue[tuple[TextIO, str] | threading.Event] = queue.Queue(BACKLOG)
        self._dropped = 0
        self._thread: threading.Thread | None = None

    def write(self, line: str) -> None:
        """Write now, after what is waiting."""
        self._lines.append(line)
        self._hand_over()

    def defer(self, line: str) -> None:
        """Write soon, together with others: a write for each request would cost more than making its line."""
        self._lines.append(line)
        if len(self._lines) >= FLUSH_LINES:
            self._hand_over()
        elif self._loop is not (loop := asyncio.get_running_loop()):
            self._loop = loop
            loop.call_later(FLUSH_SECONDS, self._hand_over)

    def flush(self) -> None:
        """Wait until everything is written, `LAST_SECONDS` at most."""
        self._hand_over()
        written = threading.Event()
        with suppress(queue.Full):
            self._texts.put(written, timeout=LAST_SECONDS)
            written.wait(LAST_SECONDS)

    def _hand_over(self) -> None:
        with self._lock:
            self._loop = None  # before a look at the lines: whoever adds one now has it called for
            lines: list[str] = []
            with suppress(IndexError):  # a finalizer that logs now takes the others, and is before these
                while True:
                    lines.append(self._lines.popleft())
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="log", daemon=True)
                self._thread.start()
            if lines:
                self._pass_on(lines)

    def _pass_on(self, lines: list[str]) -> None:
        if self._dropped and not self._texts.full():
            lost = {
                "timestamp": clock.iso(clock.now()),
                "level": "error",
                "event": "lines lost",
                "count": self._dropped,
            }
            lines, self._dropped = [self.render(lost), *lines], 0
        try:
            self._texts.put_nowait((self.stream or sys.stderr, "\n".join(lines) + "\n"))
        except queue.Full:
            self._dropped += len(lines)

    def _run(self) -> None:
        while True:
            item = self._texts.get()
            if isinstance(item, threading.Event):
                item.set()
                continue
            stream, text = item
            with suppress(OSError, ValueError):
                stream.write(text)
                stream.flush()


def json_line(event: EventDict) -> str:
    """One line of ASCII, so that no terminal, editor or collector sees anything but characters."""
    try:
        line = orjson.dumps(event, default=str, option=orjson.OPT_NON_STR_KEYS).decode()
    except TypeError:  # a lone surrogate, or an integer beyond 64 bits
        line = ""
    if not line or not line.isascii():
        line = json.dumps(event, default=str, ensure_ascii=True)
    return line.replace("\x7f", "\\u007f")


def console_line(*, colors: bool) -> Render:
    """The same for a person's eyes; only a traceback has several lines, and these are indented."""
    renderer = structlog.dev.ConsoleRenderer(
        colors=colors, exception_formatter=structlog.dev.plain_traceback, pad_event_to=0
    )

    def render(event: EventDict) -> str:
        shown = {key: printable(value) if isinstance(value, str) else value for key, value in event.items()}
        if trace := event.get("exception"):
            shown["exception"] = "\n".join(f"    {printable(line)}" for line in str(trace).split("\n"))
        return str(renderer(None, "", shown))

    return render


def printable(text: str) -> str:
    """The text with everything escaped that moves a cursor, turns the direction of writing or cannot be seen."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else char.encode("unicode-escape").decode() for char in text)


def stamp(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    event["timestamp"] = clock.iso(clock.now())
    return event


def redact(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """The last line of defence: whoever logs a secret by mistake has not done so."""
    return {key: _redacted(key, value) for key, value in event.items()}


def _redacted(key: object, value: object) -> object:
    if isinstance(key, str) and SECRET_NAME.search(key):
        return REDACTED
    if isinstance(value, str):
        return SECRET_VALUE.sub(REDACTED, value)
    if isinstance(value, dict):
        return {inner: _redacted(inner, item) for inner, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_redacted(None, item) for item in value]
    return value
