"""Real `doable serve` processes on free ports, with a log to look into."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2

from doable.settings import Settings
from tests.support import configuration
from tests.support.addresses import free_port

_START_SECONDS = 90
_STOP_SECONDS = 30


class Server:
    """A started process; its working directory is empty, so that no `.env` of a developer is read."""

    def __init__(self, settings: Settings, folder: Path, arguments: tuple[str, ...], extra: dict[str, str]) -> None:
        self.port = free_port()
        self.base_url = f"http://127.0.0.1:{self.port}"
        self.log_path = folder / f"server-{self.port}.log"
        command = [sys.executable, "-c", "import sys; from doable.cli import main; sys.exit(main())"]
        command += ["serve", "--host", "127.0.0.1", "--port", str(self.port), *arguments]
        with self.log_path.open("ab") as log:
            self.process = subprocess.Popen(
                command,
                stdout=log,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                cwd=folder,
                env=_bare_environment() | configuration.environment(settings) | extra,
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def log(self) -> str:
        return self.log_path.read_text(errors="replace")

    def wait_until_ready(self, seconds: float = _START_SECONDS) -> None:
        deadline = time.monotonic() + seconds
        while not self._is_ready():
            assert self.process.poll() is None, f"the server ended with {self.process.returncode}:\n{self.log}"
            assert time.monotonic() < deadline, f"the server was not ready in {seconds} s:\n{self.log}"
            time.sleep(0.05)

    def stop(self, how: signal.Signals = signal.SIGTERM) -> int:
        """Send the signal and wait; the exit code."""
        self.process.send_signal(how)
        return self.process.wait(_STOP_SECONDS)

    def end(self) -> None:
        """Leave no process behind: ask, then kill the whole group."""
        if self.process.poll() is None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.stop()
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        self.process.wait(_STOP_SECONDS)

    def _is_ready(self) -> bool:
        try:
            return httpx2.get(f"{self.base_url}/health/ready", timeout=5, trust_env=False).status_code == 200
        except httpx2.TransportError:
            return False


@contextmanager
def serve(settings: Settings, folder: Path, *arguments: str, ready: bool = True, **extra: str) -> Iterator[Server]:
    """A server with these settings, further arguments of `doable serve` and further environment variables."""
    server = Server(settings, folder, arguments, extra)
    try:
        if ready:
            server.wait_until_ready()
        yield server
    finally:
        server.end()


def _bare_environment() -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "DOABLE_"))}
    configuration.forget(kept)
    return {**kept, "PYTHONUNBUFFERED": "1"}
