"""What clients do to the frames themselves, again and again, to a started server: it lives, and does not grow."""

import asyncio
import re
import struct
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import httpx2
import pytest

from doable.settings import Settings
from tests.support import servers
from tests.support.frames import BINARY, CLOSE, CONTINUED, PING, PONG, TEXT, Raw, connected
from tests.support.people import Person, register
from tests.support.servers import Server

ROUNDS = 5
AT_ONCE = 8
GROWTH = 8 * 1024
"""KiB that the allocator may keep."""

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(180),
    pytest.mark.parametrize("database_url", ["sqlite"], indirect=True),
]


def many(opcode: int, piece: bytes, count: int, *, final: bool = True) -> Callable[[Raw], None]:
    def send(raw: Raw) -> None:
        for _ in range(count):
            raw.send(opcode, piece, final=final)

    return send


def pieces(piece: bytes) -> Callable[[Raw], None]:
    def send(raw: Raw) -> None:
        raw.send(TEXT, b"[", final=False)
        many(CONTINUED, piece, 2_000, final=False)(raw)

    return send


def half_and_new(raw: Raw) -> None:
    raw.send(TEXT, b"1", final=False)
    raw.send(TEXT, b"1")


ATTACKS: dict[str, tuple[Callable[[Raw], None], int]] = {
    "one byte at a time, for ever": (pieces(b"1"), 1009),
    "nothing at a time, for ever": (pieces(b""), 1009),
    "thirty bytes at a time": (pieces(b"1" * 30), 1009),
    "too large": (many(TEXT, b"1" * (64 * 1024 + 1), 1), 1009),
    "too large, it says": (lambda raw: raw.writer.write(bytes([0x81, 0xFF]) + struct.pack("!Q", 2**62)), 1009),
    "a length with the highest bit": (
        lambda raw: raw.writer.write(bytes([0x81, 0xFF]) + struct.pack("!Q", 2**63)),
        1009,
    ),
    "unmasked": (lambda raw: raw.send(TEXT, b"1", masked=False), 1002),
    "bad UTF-8": (many(TEXT, b'"\xed\xa0\x80"', 1), 1007),
    "binary": (many(BINARY, b"1", 1), 1003),
    "not JSON": (many(TEXT, b"hello", 1), 1003),
    "a reserved opcode": (many(3, b"1", 1), 1002),
    "a reserved opcode of control": (many(11, b"1", 1), 1002),
    "reserved bits": (many(TEXT | 0x20, b"1", 1), 1002),
    "a continuation of nothing": (many(CONTINUED, b"1", 1), 1002),
    "a message within a message": (half_and_new, 1002),
    "a long ping": (many(PING, b"1" * 126, 1), 1002),
    "a ping in pieces": (many(PING, b"1", 1, final=False), 1002),
    "a bad close code": (many(CLOSE, struct.pack("!H", 1005), 1), 1002),
    "half a close code": (many(CLOSE, b"1", 1), 1002),
    "a close reason in bad UTF-8": (many(CLOSE, struct.pack("!H", 1000) + b"\xff", 1), 1007),
    "a flood of pings": (many(PING, b"1" * 125, 200), 4429),
    "a flood of messages": (many(TEXT, b'{"type":"ping"}', 200), 4429),
    "a flood of nonsense": (many(TEXT, b'{"type":"?"}', 200), 4429),
}


@pytest.fixture
def server(settings: Settings, tmp_path: Path) -> Iterator[Server]:
    with servers.serve(settings, tmp_path) as server:
        yield server


@pytest.fixture
async def ana(server: Server) -> AsyncIterator[Person]:
    async with httpx2.AsyncClient(base_url=server.base_url, trust_env=False, timeout=20) as http:
        yield await register(http, "ana")


async def test_each_bad_frame_gets_its_code_and_memory_stays_as_it_is(server: Server, ana: Person) -> None:
    gate = asyncio.Semaphore(AT_ONCE)

    async def strike(name: str) -> None:
        send, code = ATTACKS[name]
        async with gate, connected(server.port, ana) as raw:
            send(raw)
            try:
                assert await raw.closed() == code, name
            except (ConnectionError, EOFError) as error:
                error.add_note(name)
                raise

    async def strike_all() -> None:
        await asyncio.gather(*map(strike, ATTACKS), _come_without_anything(server, ana), _never_read(server, ana))

    for _ in range(2):
        await strike_all()
    before = resident(server)
    for _ in range(ROUNDS):
        await asyncio.gather(*map(strike, ATTACKS))
    await strike_all()
    assert resident(server) < before + GROWTH
    async with connected(server.port, ana) as raw:
        raw.send(PONG, b"nobody has asked")
        raw.send(TEXT, b'{"type":"ping"}')
        assert await raw.frame() == (TEXT, b'{"type":"pong"}')
    assert "Traceback" not in server.log


async def _come_without_anything(server: Server, ana: Person) -> None:
    """Nothing is waited for: who shows no credential in the handshake is closed whatever he would say."""
    async with connected(server.port, ana, shown=False) as raw:
        assert await raw.closed() == 4004


async def _never_read(server: Server, ana: Person) -> None:
    """All that is said comes back to who says it, and he does not take it."""
    async with connected(server.port, ana) as raw:
        raw.writer.transport.pause_reading()  # type: ignore[attr-defined]  # a transport that reads, too
        try:
            async with asyncio.timeout(60):
                while not raw.writer.is_closing():
                    raw.send(TEXT, b'"' + b"1" * 60_000 + b'"')
                    await raw.writer.drain()
                    await asyncio.sleep(0.02)
        except ConnectionError:
            pass


def resident(server: Server) -> int:
    """KiB."""
    found = re.search(r"VmRSS:\s+(\d+) kB", Path(f"/proc/{server.pid}/status").read_text())
    assert found is not None
    return int(found[1])
