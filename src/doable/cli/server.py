"""One serving process: how uvicorn is configured, and how a process that is told to stop finishes what it has begun."""

import asyncio
import os
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import suppress
from types import FrameType

import structlog
import uvicorn
from starlette.types import ASGIApp

from doable import app
from doable.core import clock, telemetry
from doable.core.http.health import metrics_app
from doable.core.http.protocol import BoundedHttpProtocol
from doable.core.http.sockets import BoundedSocketProtocol
from doable.settings import Settings

BACKLOG = 2048
KEEP_ALIVE_SECONDS = 75
"""Longer than the 60 s after which nginx and most load balancers drop an idle connection: who sends closes first."""
NOTICE_SECONDS = 1.0
"""Between `SIGTERM` and the last connection accepted: what sends requests here has to notice that we are leaving."""
SETTLE_SECONDS = 0.2
"""Between the last connection accepted and the closing of idle ones: a request may be on its way."""
OVERTIME_SECONDS = 5.0
"""After the grace that requests have, for closing what is open; then the process ends as it is."""

_log = structlog.get_logger("doable.server")


class Server(uvicorn.Server):
    """Stops on a signal and exits with 0: on `SIGINT` it accepts nothing more at once, on `SIGTERM` after a notice.

    A second signal ends the process where it stands, unless there is a `supervisor`: a socket that hears a byte when
    the server is ready, and whose end counts as `SIGINT`. Who holds it deals with what is too slow, and whoever
    signals a whole group of processes makes its signals come twice.
    """

    def __init__(
        self, settings: Settings, *, metrics: socket.socket | None = None, supervisor: socket.socket | None = None
    ) -> None:
        super().__init__(_config(app.create_app(settings), settings.shutdown_grace_seconds))
        self._overtime = settings.shutdown_grace_seconds + OVERTIME_SECONDS
        self._metrics = metrics
        self._supervisor = supervisor
        self._signal: int | None = None
        self._leaves_at: float | None = None

    def handle_exit(self, sig: int, _frame: FrameType | None) -> None:
        # uvicorn would note the signal and raise it again at the end: the exit code would tell of a failure.
        if self._signal is None:
            self._signal = sig
            self.should_exit = sig == signal.SIGINT or not self.started
        elif self._supervisor is None:
            telemetry.flush()
            signal.signal(sig, signal.SIG_DFL)
            signal.raise_signal(sig)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self._metrics is not None:
            await self._serve_metrics(self._metrics)
        if self._supervisor is not None:
            self._report(self._supervisor)

    async def on_tick(self, counter: int) -> bool:
        if self._signal is not None and self._leaves_at is None:
            self._leaves_at = clock.monotonic() + NOTICE_SECONDS
            self._announce()
            counter = 0  # uvicorn makes the headers of all answers anew on every tenth
        if self._leaves_at is not None and clock.monotonic() >= self._leaves_at:
            self.should_exit = True
        return await super().on_tick(counter)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        overtime = threading.Timer(self._overtime, _end)
        overtime.daemon = True
        overtime.start()
        # Closing a listener resets those that connected since the loop looked last.
        waiting = [connection for listener in sockets or () for connection in _accept(listener)]
        for server in self.servers:
            server.close()
        for connection in waiting:
            await asyncio.get_running_loop().connect_accepted_socket(
                lambda: BoundedHttpProtocol(self.config, self.server_state, self.lifespan.state), connection
            )
        await asyncio.sleep(SETTLE_SECONDS)
        await super().shutdown(sockets)

    def _announce(self) -> None:
        """From now on readiness is refused, and every answer closes its connection."""
        _log.info("draining", signal=signal.Signals(self._signal or 0).name)
        self.lifespan.state["lifecycle"].drain()
        self.config.encoded_headers.append((b"connection", b"close"))

    async def _serve_metrics(self, listener: socket.socket) -> None:
        config = _config(metrics_app(self.lifespan.state["metrics"]))
        config.load()
        # With the connections of the main port, so that both are closed together.
        self.servers.append(
            await asyncio.get_running_loop().create_server(
                lambda: BoundedHttpProtocol(config, self.server_state, {}), sock=listener
            )
        )

    def _report(self, supervisor: socket.socket) -> None:
        loop = asyncio.get_running_loop()

        def lost() -> None:
            loop.remove_reader(supervisor)
            self.handle_exit(signal.SIGINT, None)

        loop.add_reader(supervisor, lost)
        with suppress(BrokenPipeError):
            supervisor.send(b"r")


def _config(application: ASGIApp, grace: int | None = None) -> uvicorn.Config:
    return uvicorn.Config(
        application,
        interface="asgi3",
        http=BoundedHttpProtocol,
        ws=BoundedSocketProtocol,
        ws_max_size=BoundedSocketProtocol.MESSAGE_BYTES,
        ws_ping_interval=BoundedSocketProtocol.PING_SECONDS,
        ws_ping_timeout=BoundedSocketProtocol.PONG_SECONDS,
        ws_per_message_deflate=False,  # a bomb for whoever unpacks it, and an oracle for what is beside a secret
        lifespan="on" if grace else "off",
        log_config=None,
        access_log=False,  # the edge writes one, without query values
        proxy_headers=False,  # the edge believes TRUSTED_PROXIES only
        server_header=False,
        backlog=BACKLOG,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=grace,
    )


def _accept(listener: socket.socket) -> Iterator[socket.socket]:
    with suppress(BlockingIOError):
        for _ in range(BACKLOG):  # more may come, for ever
            yield listener.accept()[0]


def _end() -> None:
    _log.error("shutdown_too_slow")
    telemetry.flush()
    os._exit(1)
