"""A server of our own to try things on: a process with an empty folder, gone in the end."""

import contextlib
import secrets
import signal
import socket
import subprocess
import time
from pathlib import Path
from typing import Self

import httpx2

from doable.verification import programs
from doable.verification.outcomes import Outcome, Place, fell, held

_START_SECONDS = 90.0
_STOP_SECONDS = 30.0


class Server:
    """`doable serve` on a free port of the loopback, on SQLite, with limits that nobody meets."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(exist_ok=True)
        self.url = f"http://127.0.0.1:{_free_port()}"
        self.log = folder / "server.log"
        port = self.url.rpartition(":")[2]
        program = programs.installed("doable") or "doable"
        command = [str(program), "serve", "--host", "127.0.0.1", "--port", port]
        settings = programs.bare(
            DATA_DIR=str(folder),
            SECRET_KEY=secrets.token_urlsafe(32),
            RATE_LIMIT_PER_MINUTE="1000000",
            LOG_FORMAT="json",
        )
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(  # noqa: S603 — this very program
                command, cwd=folder, env=settings, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )

    def __enter__(self) -> Self:
        deadline = time.perf_counter() + _START_SECONDS
        while not self._is_ready():
            if self._process.poll() is not None or time.perf_counter() > deadline:
                self._end()
                raise NotStarted(self.log.read_text(errors="replace"))
            time.sleep(0.05)
        return self

    def __exit__(self, *_: object) -> None:
        self._end()

    def stop(self) -> int:
        """Ask it to stop; its exit code."""
        self._process.send_signal(signal.SIGTERM)
        return self._process.wait(_STOP_SECONDS)

    def _is_ready(self) -> bool:
        with contextlib.suppress(httpx2.TransportError):
            return httpx2.get(f"{self.url}/health/ready", timeout=5, trust_env=False).is_success
        return False

    def _end(self) -> None:
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.stop()
        self._process.kill()
        self._process.wait(_STOP_SECONDS)


class NotStarted(Exception):
    """With the log."""


def starts_and_stops(place: Place) -> Outcome:
    """On an empty folder a server starts, shows its document and its pages, and stops when it is told to."""
    try:
        with Server(place.scratch / "start") as server:
            with httpx2.Client(base_url=server.url, trust_env=False, timeout=10) as client:
                operations = client.get("/openapi.json").json()["paths"]
                page = client.get("/docs")
            code = server.stop()
    except NotStarted as error:
        return fell("the server did not start", str(error)[-4000:])
    if not page.is_success or code != 0:
        return fell(f"/docs answered {page.status_code}, the server ended with {code}", server.log.read_text()[-4000:])
    return held(f"{len(operations)} paths, /docs, stopped with 0")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port
