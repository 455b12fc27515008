"""A TCP relay on loopback that cuts what goes through it."""

import asyncio
from contextlib import suppress
from typing import Self

CHUNK = 64 * 1024


class Relay:
    """Before a port of this machine. While it is `down` it hangs up on whoever comes; `deaf`, it keeps back answers."""

    def __init__(self, port: int) -> None:
        self.port = 0
        self.down = False
        self.deaf = False
        self._target = port
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._take, "127.0.0.1", 0, backlog=1024)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self.down = True
        self._server.close()
        self.cut()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def cut(self) -> None:
        """Both sides of every connection, at once."""
        for writer in self._writers:
            writer.transport.abort()

    async def _take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self._writers.add(writer)
        try:
            if not self.down:
                await self._relay(reader, writer)
        except OSError:
            pass
        finally:
            writer.transport.abort()
            self._writers.discard(writer)
            self._tasks.discard(task)

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        answers, server = await asyncio.open_connection("127.0.0.1", self._target)
        self._writers.add(server)
        try:
            done, pending = await asyncio.wait(
                [
                    asyncio.create_task(self._pump(reader, server)),
                    asyncio.create_task(self._pump(answers, writer, back=True)),
                ],
                return_when=asyncio.FIRST_COMPLETED,
            )
            for task in pending:
                task.cancel()
            await asyncio.gather(*done, *pending, return_exceptions=True)
        finally:
            server.transport.abort()
            self._writers.discard(server)

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, back: bool = False) -> None:
        with suppress(OSError):
            while data := await reader.read(CHUNK):
                if back and self.deaf:
                    continue
                writer.write(data)
                await writer.drain()
