"""What a client does to the frames themselves: the right code, and nothing that grows."""

import asyncio
import base64
import os
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from doable.core.http.sockets import BoundedSocketProtocol
from doable.settings import Settings
from tests.support.people import Person, register
from tests.support.rooms import Served, serving

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
TEXT, BINARY, CONTINUED, CLOSE, PING, PONG = 1, 2, 0, 8, 9, 10


@pytest.fixture
async def served(settings: Settings) -> AsyncIterator[Served]:
    async with serving(settings) as served:
        yield served


@pytest.fixture
async def ana(served: Served) -> AsyncIterator[Person]:
    async with served.client() as client:
        yield await register(client, "ana")


class Raw:
    """A connection after its handshake, byte by byte."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    def send(self, opcode: int, data: bytes = b"", *, final: bool = True, masked: bool = True) -> None:
        head = bytes([opcode | (0x80 if final else 0)])
        mask = 0x80 if masked else 0
        if len(data) < 126:
            head += bytes([mask | len(data)])
        else:
            head += bytes([mask | 127]) + struct.pack("!Q", len(data))
        key = b"\x00" * 4 if masked else b""  # the identity
        self.writer.write(head + key + data)

    async def frame(self) -> tuple[int, bytes]:
        first, second = await self.reader.readexactly(2)
        length = second & 0x7F
        if length == 126:
            (length,) = struct.unpack("!H", await self.reader.readexactly(2))
        elif length == 127:
            (length,) = struct.unpack("!Q", await self.reader.readexactly(8))
        return first & 0x0F, await self.reader.readexactly(length)

    async def closed(self) -> int:
        async with asyncio.timeout(10):
            while True:
                opcode, data = await self.frame()
                if opcode == CLOSE:
                    return int.from_bytes(data[:2])


@asynccontextmanager
async def connected(served: Served, person: Person) -> AsyncIterator[Raw]:
    reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
    key = base64.b64encode(os.urandom(16)).decode()
    lines = [
        f"GET /ws/{person.inbox_id} HTTP/1.1",
        "Host: localhost",
        "Connection: Upgrade",
        "Upgrade: websocket",
        "Sec-WebSocket-Version: 13",
        f"Sec-WebSocket-Key: {key}",
        "Sec-WebSocket-Extensions: permessage-deflate",
        f"Authorization: {person.headers['Authorization']}",
    ]
    writer.write("\r\n".join([*lines, "", ""]).encode())
    head = await reader.readuntil(b"\r\n\r\n")
    assert b" 101 " in head
    assert b"permessage-deflate" not in head
    raw = Raw(reader, writer)
    assert (await raw.frame())[0] == TEXT  # the welcome
    try:
        yield raw
    finally:
        writer.close()


async def test_an_unmasked_frame_is_refused(served: Served, ana: Person) -> None:
    async with connected(served, ana) as raw:
        raw.send(TEXT, b"1", masked=False)
        assert await raw.closed() == 1002


async def test_text_that_is_not_utf_8_is_refused(served: Served, ana: Person) -> None:
    async with connected(served, ana) as raw:
        raw.send(TEXT, b'"\xff\xfe"')
        assert await raw.closed() == 1007


async def test_a_compressed_frame_is_refused(served: Served, ana: Person) -> None:
    async with connected(served, ana) as raw:
        raw.send(TEXT | 0x40, b"\x00" * 100)
        assert await raw.closed() == 1002


@pytest.mark.parametrize("piece", [b"", b"x", b"x" * 1000])
async def test_a_message_that_never_ends_is_cut(served: Served, ana: Person, piece: bytes) -> None:
    async with connected(served, ana) as raw:
        raw.send(TEXT, piece, final=False)
        for _ in range(3_000):
            raw.send(CONTINUED, piece, final=False)
        assert await raw.closed() == 1009


async def test_a_message_may_come_in_pieces(served: Served, ana: Person) -> None:
    async with connected(served, ana) as raw:
        raw.send(TEXT, b'{"type":', final=False)
        raw.send(PING, b"between")
        raw.send(CONTINUED, b'"ping"}')
        assert [await raw.frame(), await raw.frame()] == [(PONG, b"between"), (TEXT, b'{"type":"pong"}')]


async def test_a_flood_of_pings_is_cut(served: Served, ana: Person) -> None:
    async with connected(served, ana) as raw:
        for _ in range(200):
            raw.send(PING, b"x")
        assert await raw.closed() == 4429


async def test_who_claims_a_huge_frame_is_cut_before_it_comes(served: Served, ana: Person) -> None:
    async with connected(served, ana) as raw:
        raw.writer.write(bytes([0x81, 0x80 | 127]) + struct.pack("!Q", 2**40))
        assert await raw.closed() == 1009


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(BoundedSocketProtocol, "PING_SECONDS", 0.1)
    monkeypatch.setattr(BoundedSocketProtocol, "PONG_SECONDS", 0.3)


@pytest.mark.usefixtures("impatient")
async def test_who_answers_no_ping_is_closed(served: Served, ana: Person) -> None:
    async with connected(served, ana) as raw:
        assert await raw.closed() == 4408


@pytest.mark.usefixtures("impatient")
async def test_who_answers_stays(served: Served, ana: Person) -> None:
    async with served.visit(ana, ana.inbox_id) as seat:
        await asyncio.sleep(1)
        await seat.say({"type": "ping"})
        assert (await seat.hear())["type"] == "pong"
