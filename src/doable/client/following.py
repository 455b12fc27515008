"""A list that is followed through its room, and over breaks of any kind by what the log has."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Any, Protocol, Self

import orjson
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus, WebSocketException

from doable.client.errors import Refused, RoomClosed, Unreachable
from doable.client.pauses import Pauses
from doable.client.sending import TIMEOUT, retry_after
from doable.client.wire import Change, Position, Snapshot

LARGEST = 4 * 1024 * 1024
NO_MEMBER, NO_SESSION, LEAVING, TOO_MANY = 4003, 4004, 1012, 4429
TOO_MANY_PAUSE = 5.0


class Caller(Protocol):
    """What is needed of a client."""

    url: str
    trust_env: bool

    def credential(self) -> str | None: ...
    async def renew(self, stale: str | None) -> bool: ...
    async def snapshot(self, list_id: str) -> Snapshot: ...
    async def log(self, list_id: str, after: Position) -> list[Change]: ...


class Following:
    """An async iterator, and a context that closes what it holds open.

    `position` is after what came last. `breaks` counts how often it had to come back, `doubles` the events that came
    once more and were left out, `gaps` those before which one was missing, so that they were read again.
    """

    def __init__(self, caller: Caller, list_id: str, since: Position | None) -> None:
        self.position = since
        self.breaks = 0
        self.doubles = 0
        self.gaps = 0
        self._caller = caller
        self._list_id = list_id
        self._pauses = Pauses(1.0, 5.0)
        self._read: deque[Change] = deque()  # from the log, instead of a room
        self._socket: ClientConnection | None = None
        self._shown: str | None = None
        self._refused = False  # a credential that was new

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _traceback: TracebackType | None
    ) -> None:
        await self._leave()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Snapshot | Change:
        """Raises `RoomClosed`, and `Refused` where nothing may be read any more."""
        while True:
            try:
                item = await self._next()
            except ConnectionClosed as closed:
                pause = await self._judge(closed)
            except InvalidStatus as no:
                if no.response.status_code < 500 and no.response.status_code != 429:  # noqa: PLR2004 — HTTP's numbers
                    raise Refused(no.response.status_code, "", "The handshake was refused.") from no
                pause = self._pauses.next(retry_after(no.response.headers))
            except (OSError, EOFError, WebSocketException, Unreachable):
                pause = self._pauses.next()
            else:
                self._pauses.reset()
                self.position = item.position
                return item
            self.breaks += 1
            await self._leave()
            await asyncio.sleep(pause)

    async def _next(self) -> Snapshot | Change:
        while True:
            if self.position is None:
                return await _patiently(lambda: self._caller.snapshot(self._list_id))
            if self._read:
                return self._read.popleft()
            if self._socket is None:
                await self._enter(self.position)
            elif (change := await self._hear(self._socket, self.position)) is not None:
                return change

    async def _enter(self, position: Position) -> None:
        """The room; or the log, where there is more than a room replays."""
        self._shown = self._caller.credential()
        url = f"ws{self._caller.url.removeprefix('http')}/ws/{self._list_id}?since={position}"
        self._socket = await connect(
            url,
            additional_headers={"Authorization": f"Bearer {self._shown}"} if self._shown else {},
            compression=None,
            max_size=LARGEST,
            open_timeout=TIMEOUT,
            proxy=True if self._caller.trust_env else None,
        )
        welcome = orjson.loads(await self._socket.recv())
        self._refused = False
        if not welcome["recovered"]:
            await self._leave()
            await self._read_log(position)

    async def _read_log(self, position: Position) -> None:
        try:
            self._read.extend(await _patiently(lambda: self._caller.log(self._list_id, position)))
        except Refused as no:
            if no.code != "POSITION_LOST":
                raise
            self.position = None

    async def _hear(self, socket: ClientConnection, position: Position) -> Change | None:
        message: dict[str, Any] = orjson.loads(await socket.recv())
        if message["type"] != "event":
            return None
        revision: int = message["event"]["revision"]
        if revision <= position.revision:
            self.doubles += 1
            return None
        if revision > position.revision + 1:
            self.gaps += 1
            await self._leave()
            return None
        return Change(Position(position.epoch, revision), message["event"])

    async def _judge(self, closed: ConnectionClosed) -> float:
        """The pause before the next attempt. Raises `RoomClosed` where there is no use in one."""
        code, reason = (closed.rcvd.code, closed.rcvd.reason) if closed.rcvd is not None else (1006, "")
        if code == NO_SESSION and not self._refused:
            try:
                self._refused = await _patiently(lambda: self._caller.renew(self._shown))
            except Unreachable:
                return self._pauses.next()
            if self._refused:
                return 0.0
        if code in {NO_MEMBER, NO_SESSION}:
            raise RoomClosed(code, reason) from closed
        return self._pauses.next(TOO_MANY_PAUSE if code == TOO_MANY else _asked(code, reason))

    async def _leave(self) -> None:
        socket, self._socket = self._socket, None
        if socket is not None:
            await socket.close()


async def _patiently[T](call: Callable[[], Awaitable[T]]) -> T:
    """What is refused for now counts as no answer: there will be another attempt."""
    try:
        return await call()
    except Refused as no:
        if no.status in {429, 502, 503, 504}:
            raise Unreachable(str(no)) from no
        raise


def _asked(code: int, reason: str) -> float | None:
    if code != LEAVING:
        return None
    try:
        return float(orjson.loads(reason)["retry_after"])
    except (ValueError, KeyError, TypeError):
        return None
