"""One request on its way in and its answer on its way out."""

import asyncio
from collections.abc import Mapping, Sequence

from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.types import Message, Receive, Scope, Send

from doable.core import clock
from doable.core.errors import AppException, Code
from doable.core.http import compression, limiting, standard, syntax
from doable.core.http.context import Limit, RequestInfo
from doable.core.http.cycle import WHOLE
from doable.core.http.standard import StandardHeaders
from doable.core.http.transaction import SAFE_METHODS
from doable.core.wheel import Limit as TimeLimit
from doable.core.wheel import Wheel

type Known = tuple[str, str, Mapping[bytes, bytes]]

BODY_SECONDS = 60.0

_VARY = (b"vary", b"Accept-Encoding")
_VARY_LINE = standard.lines((_VARY,))


class Terms:
    """What is the same for all: `deadline` is how many seconds each answer has until it starts."""

    def __init__(self, standard: StandardHeaders, deadline: float) -> None:
        self.standard = standard
        self.deadline = deadline
        self.wheel = Wheel()


class Exchange(RequestInfo):
    """The body is bounded in bytes and in time, and what is around its handler by a `timer` until the answer starts.

    The answer is completed, compressed where that pays, and cut off after the headers for HEAD.
    """

    __slots__ = (
        "_awaits_body", "_bodiless", "_body_complete", "_give", "_held", "_loop", "_receive", "_received", "_send",
        "_since", "_terms", "asked", "began", "scope", "sent", "started", "status", "timer",
    )  # fmt: skip

    def __init__(self, terms: Terms, scope: Scope, receive: Receive, send: Send, known: Known, asked: str) -> None:
        """`asked` is the method of the request; that of the scope is GET where HEAD was asked."""
        self.request_id, self.client, self.headers = known
        self.user_id = self.limit = None
        self.scope = scope
        self.asked = asked
        self._terms = terms
        self._receive = receive
        self._send = send
        # Out of the scope, which the server's own record of this request has: it would lead back to that.
        whole = scope.get("extensions", {}).pop(WHOLE, None)
        self._give = whole and whole["answer"]
        self._bodiless = asked == "HEAD"
        self._loop = asyncio.get_running_loop()
        self._since = self._loop.time()
        self._received = 0
        self._body_complete = self._awaits_body = False
        self._held: Message | None = None
        self.began = clock.monotonic()
        self.timer = TimeLimit(terms.wheel)
        self.started = False
        self.status = self.sent = 0

    def end(self) -> None:
        """Forget everybody who knows this request, and is known by it: or only the garbage collector could free it."""
        del self._receive, self._send, self._give, self.scope

    @property
    def can_be_whole(self) -> bool:
        return self._give is not None

    def start(self) -> None:
        """Count the time of the handler: from now on, or again after it waited for the body."""
        self.timer.move(self._loop.time() + self._terms.deadline)

    async def receive(self) -> Message:
        if self._body_complete or self.started:
            return await self._receive()
        # The client's pace is not the handler's: its time stands still while it waits for the body.
        self._awaits_body = True
        self.timer.move(self._since + BODY_SECONDS)
        message = await self._receive()
        self._awaits_body = False
        self.start()
        self._received += len(message.get("body", b""))
        self._body_complete = not message.get("more_body", False)
        most = syntax.max_body(self.scope["method"], self.scope["path"])
        if self._received > most:
            # An HTTPException is the only kind that FastAPI lets pass while it reads a body.
            raise HTTPException(Code.BODY_TOO_LARGE.status, syntax.body_too_large(most).message)
        return message

    async def send(self, message: Message) -> None:
        self._start_answer()
        try:
            await self._pass_on(message)
        except OSError as error:  # how a server says, by ASGI 2.4, that nobody listens any more
            raise ClientDisconnect from error

    def whole(self, status: int, headers: Sequence[tuple[bytes, bytes]], body: bytes) -> bool:
        """Give the server an ordinary answer at once, if it can take one; `False`: it has to be sent."""
        if self._bodiless or self.started:
            return False
        given = dict(headers)
        if len(given) < len(headers):
            return False
        lines = self._terms.standard.lines(self, self._limit(), self.scope["path"], given)
        if lines is None:
            return False
        if len(body) >= compression.MINIMUM_BYTES and self._is_compressible(status, given):
            if self._accepts_gzip():
                return False
            lines += _VARY_LINE
        if not self._give(status, given, lines, body):
            return False
        self._start_answer()
        self.status, self.sent = status, len(body)
        return True

    def refusal(self, error: Exception) -> Exception | None:
        """What to tell a client that did something wrong or waited too long; nothing for a bug."""
        if self.timer.expired and isinstance(error, TimeoutError):
            if self._awaits_body:
                return AppException(Code.MALFORMED_REQUEST, f"The body did not arrive within {BODY_SECONDS:g} s.")
            return self.cut(f"The answer took more than {self._terms.deadline:g} s.")
        return error if isinstance(error, AppException | HTTPException) else None

    def cut(self, why: str) -> AppException:
        """For a request that is ended before its answer: a write may have been under way."""
        if self.scope["method"] in SAFE_METHODS:
            return AppException(Code.UNAVAILABLE, why)
        return AppException(Code.OUTCOME_UNKNOWN, f"{why} Look whether the change was made before you repeat it.")

    def _start_answer(self) -> None:
        if not self.started:
            self.started = True
            self.timer.move(None)  # an answer that has started is never cut

    async def _pass_on(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            start = self._completed(message)
            if self._held is None:
                await self._send(start)
            if self._bodiless:
                await self._send({"type": "http.response.body", "body": b""})
        elif message["type"] != "http.response.body":
            await self._send(message)
        elif not self._bodiless:
            if self._held is not None:
                message = await self._release(self._held, message)
            self.sent += len(message.get("body", b""))
            await self._send(message)

    def _completed(self, message: Message) -> Message:
        """The start with all its headers, held back where the body is to be compressed."""
        self.status = message["status"]
        given = message.get("headers", ())
        found = dict(given)
        lacking = self._terms.standard.headers(self, self._limit(), self.scope["path"], found)
        start = {**message, "headers": [*given, *lacking]}
        if self._bodiless or not self._is_compressible(self.status, found):
            return start
        start["headers"].append(_VARY)
        if self._accepts_gzip():
            self._held = start
        return start

    async def _release(self, start: Message, message: Message) -> Message:
        self._held = None
        if not message.get("more_body", False):
            body = compression.compress(message["body"])
            kept = [header for header in start["headers"] if header[0] != b"content-length"]
            start["headers"] = [*kept, (b"content-encoding", b"gzip"), (b"content-length", b"%d" % len(body))]
            message = {**message, "body": body}
        await self._send(start)
        return message

    def _limit(self) -> Limit:
        return self.limit or limiting.network_decision(self.scope)

    def _is_compressible(self, status: int, headers: Mapping[bytes, bytes]) -> bool:
        return compression.eligible(status, headers) and self._terms.standard.may_compress(self.scope["path"])

    def _accepts_gzip(self) -> bool:
        return compression.accepts_gzip(self.headers.get(b"accept-encoding", b""))


def of(scope: Scope) -> Exchange:
    """What the edge has made of this request."""
    found: Exchange = scope["state"]["info"]
    return found
