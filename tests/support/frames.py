"""WebSocket frames as they are on the wire, right and wrong."""

import asyncio
import base64
import os
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from tests.support.people import Person

TEXT, BINARY, CONTINUED, CLOSE, PING, PONG = 1, 2, 0, 8, 9, 10


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
async def connected(port: int, person: Person, *, shown: bool = True) -> AsyncIterator[Raw]:
    """In the person's own room; without a credential unless it is `shown`."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    key = base64.b64encode(os.urandom(16)).decode()
    lines = [
        f"GET /ws/{person.inbox_id} HTTP/1.1",
        "Host: localhost",
        "Connection: Upgrade",
        "Upgrade: websocket",
        "Sec-WebSocket-Version: 13",
        f"Sec-WebSocket-Key: {key}",
        "Sec-WebSocket-Extensions: permessage-deflate",
        *([f"Authorization: {person.headers['Authorization']}"] if shown else []),
    ]
    writer.write("\r\n".join([*lines, "", ""]).encode())
    head = await reader.readuntil(b"\r\n\r\n")
    assert b" 101 " in head
    assert b"permessage-deflate" not in head
    raw = Raw(reader, writer)
    if shown:
        assert (await raw.frame())[0] == TEXT  # the welcome
    try:
        yield raw
    finally:
        writer.transport.abort()
