"""A served app with real sockets, in this process, and people who sit in its rooms."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager
from typing import Any, Protocol, Self

import httpx2
import pytest
import uvicorn
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from doable.cli import server
from doable.realtime.connections import ConnectionManager
from doable.realtime.rooms import Room
from doable.realtime.schemas import SERVER
from doable.settings import Settings
from tests.support import applications
from tests.support.people import API, Person, register

PATIENCE = 10.0


class Served:
    """One worker: its own runtime behind uvicorn as `doable serve` configures it."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._stack = ExitStack()
        self._people = AsyncExitStack()
        self.port = 0

    async def __aenter__(self) -> Self:
        listener = socket.socket()
        listener.bind(("127.0.0.1", 0))
        self.port = listener.getsockname()[1]
        app = self._stack.enter_context(applications.lent(self._settings))
        self.uvicorn = uvicorn.Server(server._config(app, grace=5))
        self.uvicorn.config.load()
        self.uvicorn.lifespan = self.uvicorn.config.lifespan_class(self.uvicorn.config)
        await self.uvicorn.startup(sockets=[listener])
        assert self.uvicorn.started
        self._ticks = asyncio.create_task(self.uvicorn.main_loop(), name="uvicorn")
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._people.aclose()
        self.uvicorn.should_exit = True
        await self._ticks
        await self.uvicorn.shutdown()
        self._stack.close()

    @property
    def state(self) -> dict[str, Any]:
        state: dict[str, Any] = self.uvicorn.lifespan.state
        return state

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def client(self) -> httpx2.AsyncClient:
        return httpx2.AsyncClient(base_url=self.base_url, trust_env=False, timeout=20)

    async def register(self, username: str) -> Person:
        """Somebody with connections of his own."""
        return await register(await self._people.enter_async_context(self.client()), username)

    def visit(self, person: Person, room: str, **options: Any) -> "Seat":
        return Seat(self, person.headers, room, **options)


class Listening(Protocol):
    """A server in this process, or a started one."""

    port: int


class Seat:
    """A person in a room: what came is kept in order."""

    def __init__(
        self,
        served: Listening,
        headers: Mapping[str, str],
        room: str,
        *,
        prefix: str = API,
        query: str = "",
        welcomed: bool = True,
        **options: Any,
    ) -> None:
        url = f"ws://127.0.0.1:{served.port}{prefix}/ws/{room}{query}"
        self._opening = connect(url, additional_headers=headers, proxy=None, compression=None, max_size=None, **options)
        self._welcomed = welcomed
        self.welcome: dict[str, Any] = {}
        self.seen: list[dict[str, Any]] = []

    async def __aenter__(self) -> Self:
        self.socket: ClientConnection = await self._opening
        if self._welcomed:
            self.welcome = await self.hear()
            assert self.welcome["type"] == "welcome", self.welcome
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.socket.close()

    async def say(self, message: object) -> None:
        await self.socket.send(json.dumps(message))

    async def hear(self, seconds: float = PATIENCE) -> dict[str, Any]:
        """The next message."""
        async with asyncio.timeout(seconds):
            message: dict[str, Any] = json.loads(await self.socket.recv())
        shape = SERVER[message["type"]].model_validate(message)
        assert shape.model_dump(mode="json", by_alias=True, exclude_unset=True) == message
        self.seen.append(message)
        return message

    async def until(self, kind: str, seconds: float = PATIENCE) -> dict[str, Any]:
        """The next message of a type; those before it are in `seen`."""
        async with asyncio.timeout(seconds):
            while (message := await self.hear(seconds))["type"] != kind:
                pass
        return message

    async def events(self, count: int, seconds: float = PATIENCE) -> list[dict[str, Any]]:
        return [(await self.until("event", seconds))["event"] for _ in range(count)]

    async def closed(self, seconds: float = PATIENCE) -> tuple[int, str]:
        """Code and reason of the end; what came before it is in `seen`."""
        try:
            while True:
                await self.hear(seconds)
        except ConnectionClosed as end:
            assert end.rcvd is not None, "cut without a close frame"
            return end.rcvd.code, end.rcvd.reason

    async def silent(self, seconds: float = 0.3) -> bool:
        try:
            await self.hear(seconds)
        except TimeoutError:
            return True
        return False


async def eventually(holds: Callable[[], bool], seconds: float = PATIENCE) -> None:
    async with asyncio.timeout(seconds):
        while not holds():  # noqa: ASYNC110 — nothing tells when
            await asyncio.sleep(0.02)


@asynccontextmanager
async def serving(settings: Settings) -> AsyncIterator[Served]:
    async with Served(settings) as served:
        yield served


def hear_only_the_bell(monkeypatch: pytest.MonkeyPatch) -> None:
    """The check of every second, which brings whatever the bell has left out, tells no room of anything new."""
    moved = ConnectionManager._moved

    def told(manager: ConnectionManager, room: Room, revision: int | None, as_of: float | None) -> None:
        moved(manager, room, revision if as_of is None else room.position, as_of)

    monkeypatch.setattr(ConnectionManager, "_moved", told)


async def expel(owner: Person, list_id: str, person: Person) -> int:
    """Take the person out of the list; the revision of his removal."""
    answer = await owner.delete(f"/lists/{list_id}/members/{person.user['id']}")
    assert answer.status_code == 204, answer.text
    return int(answer.headers["Doable-Position"].partition(":")[2])
