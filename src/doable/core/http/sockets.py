"""uvicorn's WebSocket protocol with what it lacks: close codes of the contract, and bounds for what grows unseen."""

import asyncio
import logging
import random
from typing import Any, ClassVar

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.frames import Frame

IDLE = 4408
TOO_OFTEN = 4429
TOO_LARGE = 1009
PROTOCOL_ERROR = 1002
NOT_TEXT = 1007


class BoundedSocketProtocol(WebSocketsSansIOProtocol):
    """For `uvicorn.Config(ws=…)`. Sizes are bytes, times seconds."""

    MESSAGE_BYTES: ClassVar = 64 * 1024
    FRAGMENTS: ClassVar = 1_024  # of one message; empty ones are free otherwise
    UNREAD_BYTES: ClassVar = 1024 * 1024  # pongs and other answers that a client does not read
    PINGS_PER_MINUTE: ClassVar = 120  # of the client
    PING_SECONDS: ClassVar = 20.0
    PONG_SECONDS: ClassVar = 25.0  # after the ping: 45 since the last sign of life
    CLOSE_SECONDS: ClassVar = 5.0  # until a connection whose end the client does not read is cut

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.logger = self.conn.logger = logging.getLogger("uvicorn.websocket")
        self.queue = _Mailbox()  # type: ignore[assignment]  # all of a queue that the parent uses
        self._pings = 0
        self._minute = 0.0
        self._end: asyncio.TimerHandle | None = None
        self._lingers = False
        self._thrown_away = 0

    def connection_lost(self, exc: Exception | None) -> None:
        if self._end is not None:
            self._end.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._lingers:
            self._throw_away(data)
            return
        if self.close_sent and not self.handshake_initiated:
            return
        super().data_received(data)
        if self.transport.get_write_buffer_size() > self.UNREAD_BYTES + self.MESSAGE_BYTES:
            self.transport.abort()

    def handle_cont(self, event: Frame) -> None:
        if len(self.frames) >= self.FRAGMENTS:
            self._fail(TOO_LARGE, "too many fragments")
            return
        super().handle_cont(event)

    def send_receive_event_to_app(self) -> None:
        """The parent would log each as an error, with a traceback."""
        if self.curr_msg_data_type == "text" and not self.close_sent:
            try:
                b"".join(self.frames).decode()
            except UnicodeDecodeError:
                self._fail(NOT_TEXT, "not UTF-8")
                return
        super().send_receive_event_to_app()

    def handle_ping(self) -> None:
        now = self.loop.time()
        if now - self._minute > 60:  # noqa: PLR2004 — a minute
            self._minute, self._pings = now, 0
        self._pings += 1
        if self._pings > self.PINGS_PER_MINUTE:
            self._fail(TOO_OFTEN, "too many pings")
            return
        super().handle_ping()

    def schedule_ping(self) -> None:
        """Not all at the same moment."""
        self.ping_timer = self.loop.call_later(
            self.PING_SECONDS * random.uniform(0.8, 1),  # noqa: S311 — no secret
            self.send_keepalive_ping,
        )

    def keepalive_timeout(self) -> None:
        self.pong_timer = None
        self._fail(IDLE, "no pong")

    def handle_parser_exception(self) -> None:
        close = self.conn.close_sent
        self._end_with(close.code if close is not None else PROTOCOL_ERROR, close.reason if close is not None else "")

    async def send(self, message: Any) -> None:
        """The end of a connection does not wait until the client has read what came before."""
        if message["type"] == "websocket.close" and self.handshake_complete:
            self.writable.set()
            self._cut_soon()
        await super().send(message)
        if message["type"] == "websocket.accept":
            del self.request, self.response  # which nobody reads again, and some connections last for days

    def _fail(self, code: int, reason: str) -> None:
        if self.close_sent or self.transport.is_closing():
            return
        self.conn.fail(code, reason)
        self._end_with(code, reason)

    def _end_with(self, code: int, reason: str) -> None:
        """Send the close frame, and read on: closing over unread input makes a reset, which can overtake the frame."""
        self.stop_keepalive()
        self.queue.put_nowait({"type": "websocket.disconnect", "code": code, "reason": reason})
        self.transport.write(b"".join(self.conn.data_to_send()))
        self.close_sent = self._lingers = True
        if self.transport.can_write_eof():
            self.transport.write_eof()
        if self.read_paused:
            self.read_paused = False
            self.transport.resume_reading()
        if self.close_timer is None:  # until then the connection outlives its task
            self.close_timer = self.loop.call_later(self.CLOSE_SECONDS, self.transport.abort)

    def _throw_away(self, data: bytes) -> None:
        self._thrown_away += len(data)
        if self._thrown_away > self.UNREAD_BYTES:
            self.transport.abort()

    def _cut_soon(self) -> None:
        if self._end is None:
            self._end = self.loop.call_later(self.CLOSE_SECONDS, self.transport.abort)


class _Mailbox:
    """What a connection has received, mostly nothing: a queue of asyncio keeps three deques for it, 2 KiB."""

    __slots__ = ("_messages", "_wanted")

    def __init__(self) -> None:
        self._messages: list[Any] = []
        self._wanted: asyncio.Future[None] | None = None

    def put_nowait(self, message: Any) -> None:
        self._messages.append(message)
        if self._wanted is not None and not self._wanted.done():
            self._wanted.set_result(None)

    def empty(self) -> bool:
        return not self._messages

    async def get(self) -> Any:
        while not self._messages:
            self._wanted = asyncio.get_running_loop().create_future()
            await self._wanted
        return self._messages.pop(0)
