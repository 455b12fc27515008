"""What writes and registrations cost while the mail server and the receiver of webhooks hang, and while they answer.

Two servers on SQLite are asked in turns, so that whatever else the machine does is the same for both.
"""

import asyncio
import statistics
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import NamedTuple

import httpx2

from bench import servers
from bench.processes import Server
from doable import migrations
from tests.support.sinks import receiving_mails

API = "/api/v1"
PASSWORD = "whoever receives it 7"  # noqa: S105 — of people who do not exist
WRITES, REGISTRATIONS = 400, 60


class Side(NamedTuple):
    """A server, whom it is asked by, in which list, and how many seconds each answer took."""

    server: Server
    client: httpx2.AsyncClient
    list_id: str
    writes: list[float]
    registrations: list[float]


async def measure(folder: Path) -> str:
    async with (
        _receivers() as (alive, hung),
        _side("alive", folder, *alive) as one,
        _side("hung", folder, *hung) as two,
    ):
        sides = [one, two]
        began = [side.server.usage().cpu for side in sides]
        for number in range(WRITES):
            for side in sides:
                await _ask(side, side.writes, "/todos", {"title": f"Milk {number}", "list_id": side.list_id})
                if number % (WRITES // REGISTRATIONS) == 0:
                    await _ask(side, side.registrations, "/users", _person(f"ben{number}"))
        cpu = [side.server.usage().cpu - before for side, before in zip(sides, began, strict=True)]
        writes, registrations = ([statistics.median(each) for each in kind] for kind in zip(*_took(sides), strict=True))
    return (
        f"With the mail server and a receiver of webhooks hung, in multiples of both answering (SQLite): a write "
        f"{writes[1] / writes[0]:.2f} ({writes[1] * 1e3:.1f} ms), a registration "
        f"{registrations[1] / registrations[0]:.2f} ({registrations[1] * 1e3:.0f} ms), CPU of the server "
        f"{cpu[1] / cpu[0]:.2f}."
    )


def _took(sides: list[Side]) -> list[tuple[list[float], list[float]]]:
    return [(side.writes, side.registrations) for side in sides]


async def _ask(side: Side, took: list[float], path: str, body: object) -> httpx2.Response:
    began = time.perf_counter()
    answer = (await side.client.post(f"{API}{path}", json=body)).raise_for_status()
    took.append(time.perf_counter() - began)
    return answer


@asynccontextmanager
async def _side(name: str, folder: Path, mail_port: int, hook_port: int) -> AsyncIterator[Side]:
    """A server with one person and a list of his that has a webhook."""
    url, home = f"sqlite:///{folder}/{name}.db", folder / name
    home.mkdir()
    await migrations.migrate(url)
    settings = {"SMTP_URL": f"smtp://127.0.0.1:{mail_port}", "OUTBOUND_NETWORKS": "127.0.0.0/8"}
    with servers.serving(servers.doable(name, url, home, **settings), home) as server:
        async with httpx2.AsyncClient(
            base_url=f"http://127.0.0.1:{server.port}", trust_env=False, timeout=60
        ) as client:
            side = Side(server, client, "", [], [])
            await _ask(side, [], "/users", _person("ana"))
            login = await _ask(side, [], "/auth/login", {"login": "ana", "password": PASSWORD})
            client.headers["Authorization"] = f"Bearer {login.json()['access_token']}"
            list_id = (await _ask(side, [], "/lists", {"name": "Home"})).json()["id"]
            hook = {"list_id": list_id, "url": f"http://127.0.0.1:{hook_port}/hook"}
            await _ask(side, [], "/webhooks", hook)
            yield side._replace(list_id=list_id)


def _person(name: str) -> dict[str, str]:
    return {"email": f"{name}@example.com", "username": name, "password": PASSWORD, "confirm_password": PASSWORD}


@asynccontextmanager
async def _receivers() -> AsyncIterator[tuple[tuple[int, int], tuple[int, int]]]:
    """The ports of a mail server and of a receiver that answer, and of those that take what comes and say nothing."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            head = await reader.readuntil(b"\r\n\r\n")
            length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
            await reader.readexactly(length)
            writer.write(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n")
            await writer.drain()
        writer.close()

    async def hang(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            await reader.read()
        writer.close()

    hooks = await asyncio.start_server(answer, "127.0.0.1", 0)
    silent = await asyncio.start_server(hang, "127.0.0.1", 0)
    async with receiving_mails() as mails, hooks, silent:
        hung = silent.sockets[0].getsockname()[1]
        yield (mails.port, hooks.sockets[0].getsockname()[1]), (hung, hung)
