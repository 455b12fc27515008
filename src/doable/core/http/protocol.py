"""uvicorn's HTTP protocol with what it lacks: limits, strict framing, and refusals in the shape of the contract.

A request that is refused here never reaches the app, or the app sees its client disconnect.
"""

import asyncio
from collections import Counter
from ipaddress import ip_address, ip_network
from typing import Any, ClassVar
from urllib.parse import unquote

import httptools
import structlog

from doable.core.errors import AppException, Code
from doable.core.http import refusal, syntax
from doable.core.http.cycle import WHOLE, Cycle
from doable.core.http.deadlines import Awaited, TimedHttpProtocol

_log = structlog.get_logger("doable.edge")


class BoundedHttpProtocol(TimedHttpProtocol):
    """For `uvicorn.Config(http=…)`. Sizes are bytes."""

    CONNECTIONS: ClassVar = 11_000  # of this process: ten thousand sockets, and requests beside them
    CONNECTIONS_PER_ADDRESS: ClassVar = 1_000  # not for trusted proxies; an upgraded WebSocket no longer counts
    HEADER_FIELDS: ClassVar = 100
    HEADER_BYTES: ClassVar = 16 * 1024
    TARGET_BYTES: ClassVar = 8 * 1024
    PIPELINED: ClassVar = 100  # requests that wait for their turn on one connection
    LINGER_BYTES: ClassVar = 64 * 1024 * 1024

    _connected: ClassVar[Counter[str]] = Counter()

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._read = 0  # bytes of the last read
        self._wire = 0  # of the reads after the one in which the awaited part began; 0: it has not begun
        self._most = syntax.MAX_BODY  # bytes of the present body
        self._refusal = b""
        self._address = ""

    # Connection

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as in uvicorn
        super().connection_made(transport)
        self._address = self.client[0] if self.client else ""
        self._connected[self._address] += 1
        if len(self.connections) > self.CONNECTIONS or self._is_crowded():
            self._refuse(refusal.too_many_connections())
            self.transport.close()  # no lingering: connections are what is short

    def connection_lost(self, exc: Exception | None) -> None:
        self._give_back()
        super().connection_lost(exc)

    def handle_websocket_upgrade(self) -> None:
        self._give_back()  # uvicorn's WebSocket protocol takes the connection: its loss is not told here
        super().handle_websocket_upgrade()

    def _is_crowded(self) -> bool:
        if not self._address or self._connected[self._address] <= self.CONNECTIONS_PER_ADDRESS:
            return False
        settings = self.app_state.get("settings")
        proxies = settings.trusted_proxies if settings else ()
        return not any(ip_address(self._address) in ip_network(proxy) for proxy in proxies)

    def _give_back(self) -> None:
        self._connected[self._address] -= 1
        if not self._connected[self._address]:
            del self._connected[self._address]

    # Reading. A request that arrives whole, in one read, costs a few comparisons.

    def data_received(self, data: bytes) -> None:
        if self._refused:
            self._throw_away(data)
            return
        self._unset_keepalive_if_required()
        self._read = len(data)
        before = self.cycle
        upgrade = None
        try:
            self.parser.feed_data(data)
            if self.cycle is before or self.cycle.more_body or self.cycle.scope is not self.scope:
                self._watch()
        except httptools.HttpParserUpgrade as error:
            upgrade = error.args[0]
        except httptools.HttpParserError as error:
            cause = error.__context__  # what a callback raised
            if not isinstance(cause, AppException):
                cause = refusal.malformed(f"The request is not valid HTTP: {error}.")
            self._refuse(cause)
        except AppException as error:
            self._refuse(error)
        if upgrade is not None:
            self._upgrade(data[upgrade:])

    def on_headers_complete(self) -> None:
        version = self.parser.get_http_version()
        refusal.check_start(version, self.url)
        length = refusal.check_framing(version, self.headers)
        if self._wire or self._read > self.TARGET_BYTES:  # what came in one shorter read is within all limits of size
            refusal.check_size(self.url, self.headers, target_limit=self.TARGET_BYTES, fields_limit=self.HEADER_BYTES)
        if len(self.headers) > self.HEADER_FIELDS:
            raise refusal.too_large(f"There are more than {self.HEADER_FIELDS} header fields.")
        method = self.parser.get_method().decode()
        raw_path, _, query = self.url.partition(b"?")
        self._most = syntax.max_body(method, raw_path.decode("latin-1"))
        if length is not None and length > self._most:
            raise refusal.body_too_large(self._most)
        if len(self.pipeline) >= self.PIPELINED:
            raise AppException(Code.RATE_LIMITED, f"More than {self.PIPELINED} requests wait on this connection.")
        if self.parser.should_upgrade():
            self._begin_upgrade(length)
            return
        self._begin(method, version, raw_path, query)
        if self.expect_100_continue:
            # Answered before it was continued, a client need not send the body: what follows could be either.
            self.cycle.keep_alive = False
        self.headers = []  # the scope keeps the list so far: trailers must not become headers
        self._wire = self._body = 0

    def _begin(self, method: str, version: str, raw_path: bytes, query: bytes) -> None:
        """As in uvicorn, but with a cycle of ours, and the target taken apart only once."""
        scope, path = self.scope, raw_path.decode("ascii")
        scope["method"] = method
        scope["http_version"] = version
        scope["path"] = unquote(path) if "%" in path else path
        scope["raw_path"] = raw_path
        scope["query_string"] = query
        must_wait = self._owes_an_answer()
        self.cycle = Cycle(  # by place: by name these arguments would cost more than the cycle
            scope,
            self.transport,
            self.flow,
            self.logger,
            self.access_logger,
            False,  # noqa: FBT003 — uvicorn's access log
            self.server_state.default_headers,
            asyncio.Event(),
            self.expect_100_continue,
            version != "1.0" and self.parser.should_keep_alive(),
            self.on_response_complete,
        )
        scope["extensions"] = {WHOLE: {"answer": self.cycle.answer}}
        if must_wait:
            self.flow.pause_reading()
            self.pipeline.appendleft((self.cycle, self.app))
        else:
            self._start_asgi_task(self.cycle, self.app)

    def on_body(self, body: bytes) -> None:
        self._body += len(body)
        if self._body > self._most:
            raise refusal.body_too_large(self._most)
        super().on_body(body)

    def on_message_complete(self) -> None:
        """As in uvicorn, but also for a body that ends after its answer."""
        if not self.parser.should_upgrade():
            self.cycle.more_body = False
            self.cycle.message_event.set()
            self._wire = 0

    def _watch(self) -> None:
        """Start the clock of what a read left unfinished, and bound what grows unseen: a header, framing, trailers."""
        awaited = self._awaited()
        if awaited is Awaited.NOTHING:
            return
        if self._wire:
            self._wire += self._read
        else:
            self._wire = 1
            self._start_clock()
        allowed = self.HEADER_BYTES + self.TARGET_BYTES
        if awaited is Awaited.HEAD and self._wire > allowed:
            raise refusal.too_large(f"The head of the request has more than {allowed} bytes.")
        # A body sent in chunks of one byte has five bytes of framing for each.
        if awaited is Awaited.BODY and self._wire - self._body > allowed + 8 * self._body:
            raise refusal.malformed("The body has more framing than content.")

    # Upgrades

    def _begin_upgrade(self, length: int | None) -> None:
        if self.parser.get_method() == b"CONNECT":
            raise refusal.malformed("This is not a proxy.")
        if self._should_upgrade():
            if length != 0:
                raise refusal.malformed("A WebSocket handshake has no body.")
            super().on_headers_complete()

    def _upgrade(self, rest: bytes) -> None:
        if self._should_upgrade():
            self.handle_websocket_upgrade()
            return
        # httptools takes any `Upgrade` for the end of the message, and the body for the next request. We speak none but
        # WebSocket and may ignore the others: the request is read again without that header.
        version = self.parser.get_http_version().encode()
        head = [b"%b %b HTTP/%b\r\n" % (self.parser.get_method(), self.url, version)]
        head += [b"%b: %b\r\n" % field for field in self.headers if field[0] != b"upgrade"]
        self.data_received(b"".join([*head, b"\r\n", rest]))

    # Refusing. Answers keep the order of requests: a refusal waits until the requests before it are answered.

    def on_response_complete(self) -> None:
        was_last = not self.pipeline
        super().on_response_complete()
        if self._refused and was_last and not self.transport.is_closing():
            self._hang_up()

    def _refuse(self, error: AppException) -> None:
        _log.warning("request_refused", code=error.code, client=self._address, reason=error.message)
        self._refused = True
        self._refusal = refusal.answer(error, self.server_state.default_headers)
        if self._awaited() is not Awaited.BODY:
            must_wait = self._owes_an_answer()
        elif self.pipeline:
            self.pipeline.popleft()  # the newest, the broken request itself: it has not begun
            must_wait = True
        else:
            must_wait = False
            if self.cycle.response_started:
                self._refusal = b""
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        if not must_wait:
            self._hang_up()

    def _hang_up(self) -> None:
        """Answer, and read on for a while: closing over unread input makes a reset, which can overtake the answer."""
        self._lingers = True
        self._start_clock()
        self._wire = 0
        self._unset_keepalive_if_required()
        self.flow.resume_reading()
        self.transport.write(self._refusal)
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self._tick()

    def _throw_away(self, data: bytes) -> None:
        self._wire += len(data)
        if self._wire > self.LINGER_BYTES:
            self.transport.close()
