"""A TCP proxy on the loopback whose faults are switched on and off while connections are open."""

import asyncio
import socket
import struct
from contextlib import suppress
from typing import Literal, Self

type Way = Literal["up", "down"]
BOTH: frozenset[Way] = frozenset({"up", "down"})


class FaultProxy:
    """Between clients and the server at `upstream`; what is wrong is set as attributes.

    `latency`: seconds that each piece takes, each way. `rate`: bytes per second. `swallows`: ways in which nothing
    arrives any more, while connections stay open. `countdown`: pieces until every connection is reset, once.
    `refuses`: new connections are reset.
    """

    def __init__(self, upstream: int) -> None:
        self.upstream = upstream
        self.port = 0
        self.latency = 0.0
        self.rate: float | None = None
        self.swallows: frozenset[Way] = frozenset()
        self.countdown: int | None = None
        self.refuses = False
        self.connections = 0
        """How many there have been."""
        self._open: set[asyncio.StreamWriter] = set()
        self._server: asyncio.Server | None = None

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        self.refuses = True
        self.reset()
        await asyncio.sleep(0)

    def reset(self) -> None:
        """Cut every connection, both sides, with RST and not with FIN."""
        for writer in self._open:
            _reset(writer)
        self._open.clear()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.refuses:
            _reset(writer)
            return
        self.connections += 1
        try:
            up_reader, up_writer = await asyncio.open_connection("127.0.0.1", self.upstream)
        except OSError:
            _reset(writer)
            return
        self._open |= {writer, up_writer}
        try:
            async with asyncio.TaskGroup() as ways:
                ways.create_task(self._pass_on("up", reader, up_writer))
                ways.create_task(self._pass_on("down", up_reader, writer))
        finally:
            self._open -= {writer, up_writer}

    async def _pass_on(self, way: Way, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while piece := await reader.read(65536):
                await self._hold(way, piece)
                writer.write(piece)
                await writer.drain()
        writer.close()

    async def _hold(self, way: Way, piece: bytes) -> None:
        if self.countdown is not None:
            self.countdown -= 1
            if self.countdown < 0:
                self.countdown = None
                self.reset()
                raise ConnectionResetError
        while way in self.swallows:  # noqa: ASYNC110 — faults are plain attributes
            await asyncio.sleep(0.02)
        if self.latency:
            await asyncio.sleep(self.latency)
        if self.rate is not None:
            await asyncio.sleep(len(piece) / self.rate)


def _reset(writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):  # it has ended already
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
