"""CPU of a server for each request, with compiled routes and without: `python bench/compiled_routes.py [--url URL]`.

Two servers on one core, their client on another; rounds alternate in random order, figures are medians of rounds.
"""

import argparse
import asyncio
import json
import os
import random
import secrets
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

SERVER_CORE, CLIENT_CORE = 0, 1
CONNECTIONS = 8
PASSWORD = secrets.token_urlsafe(16)
TICK = os.sysconf("SC_CLK_TCK")
API = "/api/v1"


class Operation(NamedTuple):
    name: str
    method: str
    path: str
    body: dict[str, object] | None = None


class Server(NamedTuple):
    name: str
    pid: int
    port: int

    def cpu_seconds(self) -> float:
        """User and system time of the process and of those it has started."""
        return sum(_ticks(pid) for pid in _family(self.pid)) / TICK


def main() -> None:
    """Print a table: for each operation the microseconds of both servers and their ratio."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--url", help="PostgreSQL database to use; without it each server has a SQLite file")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--requests", type=int, default=1500, help="in each round")
    options = parser.parse_args()
    os.sched_setaffinity(0, {CLIENT_CORE})
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        servers = [
            stack.enter_context(_serving(folder / name, name, options.url, COMPILED_ROUTES=compiled))
            for name, compiled in (("compiled", "true"), ("fastapi", "false"))
        ]
        asyncio.run(_measure(servers, options.rounds, options.requests))


async def _measure(servers: list[Server], rounds: int, requests: int) -> None:
    prepared = {server.name: await _prepare(server) for server in servers}
    print(f"{'operation':16} {'compiled':>9} {'fastapi':>9} {'ratio':>7}   µs of CPU each")
    for index, operation in enumerate(prepared["compiled"][1]):
        spent: dict[str, list[float]] = {server.name: [] for server in servers}
        for number in range(rounds + 1):
            for server in random.sample(servers, len(servers)):
                token, operations = prepared[server.name]
                before = server.cpu_seconds()
                await _load(server, operations[index], token, requests)
                if number:  # the first round warms up
                    spent[server.name].append((server.cpu_seconds() - before) / requests * 1e6)
        pairs = zip(spent["fastapi"], spent["compiled"], strict=True)
        ratio = statistics.median(slow / fast for slow, fast in pairs)
        fast, slow = (statistics.median(spent[name]) for name in ("compiled", "fastapi"))
        print(f"{operation.name:16} {fast:9.0f} {slow:9.0f} {ratio:7.2f}", flush=True)


async def _prepare(server: Server) -> tuple[str, list[Operation]]:
    """A person with todos; the operations name them."""
    name = f"u{secrets.token_hex(6)}"
    account = {"email": f"{name}@example.com", "username": name, "password": PASSWORD, "confirm_password": PASSWORD}
    await _ask(server, "POST", "/users", account)
    token = (await _ask(server, "POST", "/auth/login", {"login": name, "password": PASSWORD}))["access_token"]
    todos = [await _ask(server, "POST", "/todos", {"title": f"Todo {n}"}, token) for n in range(40)]
    one = f"/todos/{todos[0]['id']}"
    return token, [
        Operation("GET /health/live", "GET", "/../../health/live"),
        Operation("GET todo", "GET", one),
        Operation("GET 20 todos", "GET", "/todos?size=20"),
        Operation("GET lists", "GET", "/lists"),
        Operation("401", "GET", "/todos/x"),
        Operation("422", "POST", "/todos", {"title": 1}),
        Operation("POST todo", "POST", "/todos", {"title": "Buy milk"}),
        Operation("PATCH todo", "PATCH", one, {"title": "Same"}),
        Operation("completion", "PUT", f"{one}/completion"),
    ]


async def _ask(server: Server, method: str, path: str, body: object, token: str = "") -> dict[str, Any]:
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(_request(server, method, path, body, token))
    answer: dict[str, Any] = json.loads(await _answer(reader))
    writer.close()
    return answer


async def _load(server: Server, operation: Operation, token: str, requests: int) -> None:
    sent = "" if operation.name == "401" else token
    request = _request(server, operation.method, operation.path, operation.body, sent)

    async def client() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        for _ in range(requests // CONNECTIONS):
            writer.write(request)
            await _answer(reader)
        writer.close()

    await asyncio.gather(*(client() for _ in range(CONNECTIONS)))


def _request(server: Server, method: str, path: str, body: object, token: str) -> bytes:
    content = b"" if body is None else json.dumps(body).encode()
    target = path.removeprefix("/../..") if path.startswith("/../") else API + path
    lines = [f"{method} {target} HTTP/1.1", f"Host: 127.0.0.1:{server.port}", f"Content-Length: {len(content)}"]
    lines += [f"Authorization: Bearer {token}"] * bool(token) + ["Content-Type: application/json"] * bool(content)
    return "\r\n".join([*lines, "", ""]).encode() + content


async def _answer(reader: asyncio.StreamReader) -> bytes:
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    return await reader.readexactly(int(head.partition(b"content-length:")[2].partition(b"\r")[0]))


@contextmanager
def _serving(folder: Path, name: str, url: str | None, **environment: str) -> Iterator[Server]:
    folder.mkdir()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    given = {"DATA_DIR": str(folder), "RATE_LIMIT_PER_MINUTE": "1000000", "LOG_FORMAT": "json", **environment}
    if url:
        given["DATABASE_URL"] = url
    doable = str(Path(sys.executable).with_name("doable"))
    command = ["taskset", "-c", str(SERVER_CORE), doable, "serve", "--port", str(port)]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, cwd=folder, env={**os.environ, **given})
    try:
        _wait(port)
        yield Server(name, process.pid, port)
    finally:
        process.terminate()
        process.wait(30)


def _wait(port: int) -> None:
    deadline = time.monotonic() + 30
    while True:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)
        else:
            return


def _family(pid: int) -> list[int]:
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [pid, *(one for child in children for one in _family(int(child)))]


def _ticks(pid: int) -> int:
    user, system = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:13]
    return int(user) + int(system)


if __name__ == "__main__":
    main()
