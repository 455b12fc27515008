"""What a client does to the frames themselves: the right code, and nothing that grows."""

import asyncio
import struct

import pytest

from doable.core.http.sockets import BoundedSocketProtocol
from tests.support.frames import CONTINUED, PING, PONG, TEXT, connected
from tests.support.people import Person
from tests.support.rooms import Served

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


@pytest.fixture
async def ana(served: Served) -> Person:
    return await served.register("ana")


async def test_an_unmasked_frame_is_refused(served: Served, ana: Person) -> None:
    async with connected(served.port, ana) as raw:
        raw.send(TEXT, b"1", masked=False)
        assert await raw.closed() == 1002


async def test_text_that_is_not_utf_8_is_refused(served: Served, ana: Person) -> None:
    async with connected(served.port, ana) as raw:
        raw.send(TEXT, b'"\xff\xfe"')
        assert await raw.closed() == 1007


async def test_a_compressed_frame_is_refused(served: Served, ana: Person) -> None:
    async with connected(served.port, ana) as raw:
        raw.send(TEXT | 0x40, b"\x00" * 100)
        assert await raw.closed() == 1002


@pytest.mark.parametrize("piece", [b"", b"x", b"x" * 1000])
async def test_a_message_that_never_ends_is_cut(served: Served, ana: Person, piece: bytes) -> None:
    async with connected(served.port, ana) as raw:
        raw.send(TEXT, piece, final=False)
        for _ in range(3_000):
            raw.send(CONTINUED, piece, final=False)
        assert await raw.closed() == 1009


async def test_a_message_may_come_in_pieces(served: Served, ana: Person) -> None:
    async with connected(served.port, ana) as raw:
        raw.send(TEXT, b'{"type":', final=False)
        raw.send(PING, b"between")
        raw.send(CONTINUED, b'"ping"}')
        assert [await raw.frame(), await raw.frame()] == [(PONG, b"between"), (TEXT, b'{"type":"pong"}')]


async def test_a_flood_of_pings_is_cut(served: Served, ana: Person) -> None:
    async with connected(served.port, ana) as raw:
        for _ in range(200):
            raw.send(PING, b"x")
        assert await raw.closed() == 4429


async def test_who_claims_a_huge_frame_is_cut_before_it_comes(served: Served, ana: Person) -> None:
    async with connected(served.port, ana) as raw:
        raw.writer.write(bytes([0x81, 0x80 | 127]) + struct.pack("!Q", 2**40))
        assert await raw.closed() == 1009


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(BoundedSocketProtocol, "PING_SECONDS", 0.1)
    monkeypatch.setattr(BoundedSocketProtocol, "PONG_SECONDS", 0.3)


@pytest.mark.usefixtures("impatient")
async def test_who_answers_no_ping_is_closed(served: Served, ana: Person) -> None:
    async with connected(served.port, ana) as raw:
        assert await raw.closed() == 4408


@pytest.mark.usefixtures("impatient")
async def test_who_answers_stays(served: Served, ana: Person) -> None:
    async with served.visit(ana, ana.inbox_id) as seat:
        await asyncio.sleep(1)
        await seat.say({"type": "ping"})
        assert (await seat.hear())["type"] == "pong"
