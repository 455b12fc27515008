"""uvicorn's HTTP protocol with deadlines for what a client has to send, and to read."""

import asyncio
from enum import Enum, auto
from typing import Any, ClassVar

import structlog
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

_log = structlog.get_logger("doable.edge")


class Awaited(Enum):
    """What the client has to send next."""

    HEAD = auto()
    BODY = auto()
    NOTHING = auto()  # a whole request is there; after its answer it may keep the connection idle for a while


class TimedHttpProtocol(HttpToolsProtocol):
    """Times are seconds, the rate is bytes per second. A client that is late is cut off, and its app told so.

    No read and no request moves a timer: one timer for each connection looks when something could be overdue.
    Whoever inherits calls `_start_clock` when a read left something unfinished that was not before.
    """

    HEAD_SECONDS: ClassVar = 10.0
    BODY_SECONDS: ClassVar = 60.0
    BODY_GRACE_SECONDS: ClassVar = 10.0  # before the rate is judged
    WRITE_SECONDS: ClassVar = 60.0  # during which a client reads less of a waiting answer than RATE
    LINGER_SECONDS: ClassVar = 5.0  # after a refusal
    RATE: ClassVar = 1_000

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._since: float | None = self.loop.time()  # when waiting for the client began; None: it waits for us
        self._body = 0  # bytes of the present body that came
        self._refused = False  # whatever else comes is thrown away
        self._lingers = False  # the refusal is written
        self._unsent = 0  # bytes of the answer, at the last tick
        self._ticked = self._moved = self._since  # when that was; when the client last read enough
        self._idle: float | None = None  # since when all that was asked is answered
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as in uvicorn
        super().connection_made(transport)
        self._timer = self.loop.call_later(self._period(), self._tick)

    def connection_lost(self, exc: Exception | None) -> None:
        self._cancel_timer()
        super().connection_lost(exc)

    def handle_websocket_upgrade(self) -> None:
        self._cancel_timer()
        super().handle_websocket_upgrade()

    def on_response_complete(self) -> None:
        """As in uvicorn, which starts a timer after each answer, and ends it when more is asked."""
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            return
        self.flow.resume_reading()
        if self.pipeline:
            self._start_asgi_task(*self.pipeline.pop())
        else:
            self._idle = self.loop.time()

    def _unset_keepalive_if_required(self) -> None:
        self._idle = None

    def resume_writing(self) -> None:
        super().resume_writing()
        self._moved = self.loop.time()

    def _awaited(self) -> Awaited:
        if not self._has_cycle() or self.cycle.scope is not self.scope:
            return Awaited.HEAD
        if self.cycle.more_body:
            return Awaited.BODY
        if self.cycle.response_complete and self._idle is None:
            return Awaited.HEAD  # the body ended after its answer, or stray line ends came
        return Awaited.NOTHING

    def _owes_an_answer(self) -> bool:
        """Whether a request before the awaited head is unanswered."""
        return self._has_cycle() and not self.cycle.response_complete

    def _has_cycle(self) -> bool:
        return bool(self.cycle)  # None before the first request, whatever uvicorn's annotation says

    def _start_clock(self) -> None:
        self._since = self.loop.time()

    def _tick(self) -> None:
        self._cancel_timer()
        now = self.loop.time()
        fault, pause = self._fault(now)
        if fault:
            _log.info("connection_cut", client=self.client[0] if self.client else "", reason=fault)
            self.transport.abort()
        elif self._idle is not None and now - self._idle >= self.timeout_keep_alive:
            self.transport.close()
        else:
            self._timer = self.loop.call_later(pause, self._tick)

    def _fault(self, now: float) -> tuple[str, float]:
        """What the client failed to do in time; or nothing, and the seconds until it can have failed."""
        if self._is_unread(now):
            return "the answer was not read in time", 0
        awaited = self._awaited()
        if not self._refused and self._is_our_turn(awaited):
            self._since = None
            return "", self._period()
        if self._since is None:
            self._since = now
        spent = now - self._since
        if self._refused:
            if self._lingers and spent >= self.LINGER_SECONDS:
                self.transport.close()
            return "", self.LINGER_SECONDS
        if awaited is Awaited.BODY:
            return self._body_fault(spent)
        if spent >= self.HEAD_SECONDS:
            return "the head was not complete in time", 0
        return "", min(self.HEAD_SECONDS - spent, self._period())

    def _is_unread(self, now: float) -> bool:
        """Whether the client has left an answer, or the rest of one before a close, for too long."""
        unsent = self.transport.get_write_buffer_size()
        if not unsent or self._unsent - unsent >= (now - self._ticked) * self.RATE:
            self._moved = now
        self._unsent, self._ticked = unsent, now
        return now - self._moved >= self.WRITE_SECONDS

    def _is_our_turn(self, awaited: Awaited) -> bool:
        """Whether the client waits for us, so that its clock stands still."""
        if awaited is Awaited.NOTHING or self.transport.is_closing():
            return True
        if awaited is Awaited.HEAD:
            return self._owes_an_answer()
        return self.flow.read_paused or self.cycle.waiting_for_100_continue

    def _body_fault(self, spent: float) -> tuple[str, float]:
        if spent >= self.BODY_SECONDS:
            return "the body was not complete in time", 0
        if spent >= self.BODY_GRACE_SECONDS and self._body < spent * self.RATE:
            return "the body came too slowly", 0
        return "", max(self.BODY_GRACE_SECONDS - spent, self.BODY_GRACE_SECONDS / 10)

    def _period(self) -> float:
        return min(self.HEAD_SECONDS, self.BODY_GRACE_SECONDS, self.timeout_keep_alive)

    def _cancel_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
