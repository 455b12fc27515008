"""The contract of rooms, line by line, at a started server."""

import asyncio
import json
import signal
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx2
import pytest
from websockets.exceptions import InvalidStatus

from doable.settings import Settings
from tests.support import servers
from tests.support.people import API, Person, register
from tests.support.rooms import Seat
from tests.support.servers import Server
from tests.support.sharing import join

PAGE = "https://app.example.com"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.parametrize("database_url", ["sqlite"], indirect=True),
    pytest.mark.parametrize("settings", [{"cors_origins": (PAGE,)}], indirect=True),
]


@pytest.fixture
def server(settings: Settings, tmp_path: Path) -> Iterator[Server]:
    with servers.serve(settings, tmp_path) as server:
        yield server


@pytest.fixture
async def http(server: Server) -> AsyncIterator[httpx2.AsyncClient]:
    async with httpx2.AsyncClient(base_url=server.base_url, trust_env=False, timeout=20) as http:
        yield http


async def test_a_room_keeps_the_contract_from_the_handshake_to_the_end(
    server: Server, http: httpx2.AsyncClient
) -> None:
    ana, ben = await register(http, "ana"), await register(http, "ben")
    home = (await ana.list())["id"]
    await join(ana, ben, home)
    await _come_in(server, ana, home)
    await _talk(server, ana, ben, home)
    await _hear_everything(server, ana, home)
    await _stream(http, ana, home)
    await _be_turned_away(server, ana, ben)
    async with Seat(server, ana.headers, home) as seat:
        server.process.send_signal(signal.SIGTERM)
        code, reason = await seat.closed()
        assert (code, list(json.loads(reason))) == (1012, ["retry_after"])
        assert 1 <= json.loads(reason)["retry_after"] <= 5


async def _ticket(person: Person) -> str:
    ticket: str = (await person.post("/auth/ticket")).json()["ticket"]
    return ticket


async def _come_in(server: Server, ana: Person, home: str) -> None:
    for prefix in ("", API):
        async with Seat(server, ana.headers, home, prefix=prefix, origin=PAGE) as seat:
            assert seat.welcome["recovered"] is None
    async with Seat(server, {}, home, query=f"?token={await _ticket(ana)}") as seat:
        assert seat.welcome["room"] == home
    async with Seat(server, {}, home, subprotocols=["doable.v1", f"ticket.{await _ticket(ana)}"]) as seat:
        assert seat.socket.subprotocol == "doable.v1"
    with pytest.raises(InvalidStatus, match="403"):
        async with Seat(server, ana.headers, home, origin="https://evil.example"):
            pass


async def _talk(server: Server, ana: Person, ben: Person, home: str) -> None:
    """Presence, messages with and without a type, pings, and what is no message."""
    async with Seat(server, ana.headers, home) as anas:
        async with Seat(server, ben.headers, home):
            assert (await anas.until("presence"))["state"] == "joined"
            for said, heard in ((["bare"], ["bare"]), ({"type": "message", "message": 1}, 1)):
                await anas.say(said)
                message = await anas.until("message")
                assert (message["user"], message["user_id"], message["message"]) == ("ana", ana.user["id"], heard)
        assert (await anas.until("presence"))["state"] == "left"
        await anas.say({"type": "ping", "id": 7})
        assert await anas.hear() == {"type": "pong", "id": 7}
        await anas.say({"type": "nonsense"})
        assert (await anas.hear())["code"] == "VALIDATION_ERROR"


async def _hear_everything(server: Server, ana: Person, home: str) -> None:
    async with Seat(server, ana.headers, "me", query="?since=k3v9x2mq:1") as me:
        assert set(me.welcome["streams"]) == {home, ana.inbox_id}
        assert (await me.hear())["type"] == "error"
        made = await ana.list("Another")
        assert (await me.until("event"))["event"]["kind"] == "list.joined"
        await ana.todo(list_id=made["id"])
        assert (await me.until("event"))["room"] == made["id"]


async def _stream(http: httpx2.AsyncClient, ana: Person, home: str) -> None:
    """Server-sent events go on after `Last-Event-ID`; a credential in the query is none."""
    path = f"{API}/lists/{home}/events/stream"
    assert (await http.get(f"{path}?token={await _ticket(ana)}")).status_code == 401
    position = (await ana.post("/todos", {"title": "Milk", "list_id": home})).headers["Doable-Position"]
    epoch, _, revision = position.partition(":")
    headers = {**ana.headers, "Last-Event-ID": f"{epoch}:{int(revision) - 1}"}
    async with asyncio.timeout(20), http.stream("GET", path, headers=headers) as stream:
        lines = [line async for line in _first(stream.aiter_lines(), f"id: {position}", 3)]
    assert lines[:2] == [f"id: {position}", "event: todo.created"]
    assert json.loads(lines[2].removeprefix("data: "))["data"]["todo"]["title"] == "Milk"


async def _first(lines: AsyncIterator[str], beginning: str, count: int) -> AsyncIterator[str]:
    left = 0
    async for line in lines:
        left = count if line == beginning else left
        if left:
            yield line
            left -= 1
            if not left:
                return


async def _be_turned_away(server: Server, ana: Person, ben: Person) -> None:
    assert await _end(Seat(server, {}, ana.inbox_id, welcomed=False)) == 4004
    assert await _end(Seat(server, ben.headers, ana.inbox_id, welcomed=False)) == 4003
    for frame, code in ((b"binary", 1003), ("not JSON", 1003), (json.dumps("x" * 70_000), 1009)):
        async with Seat(server, ana.headers, ana.inbox_id) as seat:
            await seat.socket.send(frame)
            assert (await seat.closed())[0] == code
    async with Seat(server, ana.headers, ana.inbox_id) as seat:
        for _ in range(150):
            await seat.socket.send("1")
        assert (await seat.closed())[0] == 4429


async def _end(seat: Seat) -> int:
    async with seat:
        return (await seat.closed())[0]
