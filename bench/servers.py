"""Servers to measure: started on a core of their own, watched through `/proc`, ended."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from bench.processes import SERVER_CORE, Server
from tests.support import configuration

INSTALLED = """
import sys
sys.modules.update(dict.fromkeys(("multipart", "python_multipart", "rich", "sniffio")))
"""
"""Makes an environment of development like one with Doable alone: packages look for these, and take time and memory."""
_START_SECONDS = 60


class Command(NamedTuple):
    """How a server is started; `{port}` stands for its port, which its environment has as `PORT`."""

    name: str
    arguments: Sequence[str]
    environment: Mapping[str, str] = {}
    path: str = "/health/live"


@contextmanager
def serving(command: Command, folder: Path, *, core: int | None = SERVER_CORE) -> Iterator[Server]:
    """Start it pinned to a core and wait until it answers; its output is kept in `folder`."""
    port = _free_port()
    arguments = [argument.replace("{port}", str(port)) for argument in command.arguments]
    log = folder / f"{command.name.replace(' ', '-')}.log"
    process = _start(arguments, folder, log, {**command.environment, "PORT": str(port)})
    if core is not None:
        os.sched_setaffinity(process.pid, {core})  # what it starts stays there, too
    server = Server(command.name, process.pid, port, str(log))
    try:
        _wait(process, server, command.path)
        yield server
    finally:
        process.terminate()
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def doable(name: str, url: str, folder: Path, *arguments: str, **environment: str) -> Command:
    """`doable serve` with everything on, and limits that the measurement does not reach."""
    program = f"{INSTALLED}\nfrom doable.cli import main\nsys.exit(main())"
    settings = {
        "DATABASE_URL": url,
        "DATA_DIR": str(folder),
        "SECRET_KEY": configuration.SECRET_KEY,
        "RATE_LIMIT_PER_MINUTE": "1000000",
        "ACCESS_TOKEN_EXPIRE_MINUTES": "1440",
        "METRICS_TOKEN": "of-nobody-who-measures",
        "LOG_FORMAT": "json",
    }
    serve = ["serve", "--port", "{port}", "--no-migrate", *arguments]
    return Command(name, [sys.executable, "-c", program, *serve], {**settings, **environment})


def _start(command: list[str], folder: Path, log: Path, environment: dict[str, str]) -> subprocess.Popen[bytes]:
    bare = dict(os.environ)
    configuration.forget(bare)
    with log.open("wb") as output:
        return subprocess.Popen(command, stdout=output, stderr=output, cwd=folder, env={**bare, **environment})


def _wait(process: subprocess.Popen[bytes], server: Server, path: str) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while not _answers(server.port, path):
        if process.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError(f"{server.name} did not start:\n{server.said()}")
        time.sleep(0.02)


def _answers(port: int, path: str) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
            connection.sendall(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n\r\n".encode())
            return connection.recv(12).endswith(b" 200")
    except OSError:
        return False


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
