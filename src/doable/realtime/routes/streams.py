"""Server-sent events, for programs that only listen: the same log and the same rules as rooms."""

import asyncio
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Header, Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from doable.accounts import access
from doable.accounts.access import Actor
from doable.core import events as log
from doable.core.errors import Code
from doable.core.http import openapi
from doable.core.http.routing import Route
from doable.core.types import UuidStr
from doable.realtime.clients import Client
from doable.realtime.connections import ConnectionManager, Resumed
from doable.realtime.frames import Frame
from doable.realtime.outbox import TOO_SLOW, Closing

HEARTBEAT = 15.0
"""Seconds of silence after which a comment tells that the stream is alive."""
GONE = Closing(1001, "gone")

router = APIRouter(tags=["events"], route_class=Route)

StreamReader = Annotated[Actor, Depends(access.actor("todos:read"))]


class EventStream(Response):
    """Comes in, and sends until the client is gone or may hear no more."""

    media_type = "text/event-stream"

    def __init__(self, rooms: ConnectionManager, client: Client, list_id: UUID, since: str | None) -> None:
        super().__init__(headers={"X-Accel-Buffering": "no"})
        del self.headers["content-length"]
        self._rooms = rooms
        self._client = client
        self._list_id = list_id
        self._since = since

    async def __call__(self, _scope: Scope, receive: Receive, send: Send) -> None:
        try:
            async with self._rooms.admission.turn():
                resumed = await self._rooms.connect(self._client, self._list_id, self._since)
            if self._since is not None and resumed.missed is None:
                raise log.position_lost()
            await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
            await self._send_until_gone(receive, send, resumed)
        finally:
            self._rooms.disconnect(self._client)

    async def _send_until_gone(self, receive: Receive, send: Send, resumed: Resumed) -> None:
        sending = asyncio.create_task(self._send(send, resumed), name="stream.write")
        watching = asyncio.create_task(self._watch(receive), name="stream.watch")
        try:
            await asyncio.wait([sending])
        finally:
            sending.cancel()
            watching.cancel()
            await asyncio.wait([sending, watching])

    async def _send(self, send: Send, resumed: Resumed) -> None:
        try:
            await self._send_events(send, resumed)
        except asyncio.CancelledError:
            closing = self._client.outbox.closing
            if closing is None or closing.code in {GONE.code, TOO_SLOW}:  # nobody reads the end
                raise
        await send({"type": "http.response.body", "body": b""})

    async def _send_events(self, send: Send, resumed: Resumed) -> None:
        outbox = self._client.outbox
        outbox.bind(asyncio.current_task())
        # No event, but a position to come back with before there is one.
        text = f"id: {self._rooms.epoch}:{resumed.position}\n\n" if resumed.missed is None else ":\n\n"
        while text:
            await send({"type": "http.response.body", "body": text.encode(), "more_body": True})
            try:
                async with asyncio.timeout(HEARTBEAT):
                    frame = await outbox.next()
            except TimeoutError:
                text = ":\n\n"
            else:
                text = frame.server_sent(self._rooms.epoch) if isinstance(frame, Frame) else ""

    async def _watch(self, receive: Receive) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        self._client.outbox.close(GONE, at_once=True)


@router.get(
    "/lists/{list_id}/events/stream",
    status_code=200,
    response_class=EventStream,
    responses=openapi.errors(Code.NOT_FOUND, Code.POSITION_LOST, Code.INSUFFICIENT_SCOPE, Code.UNAVAILABLE)
    | {
        200: {
            "description": "`id` is a position, `event` a kind, `data` an event. It ends when you may see no more.",
            "content": {"text/event-stream": {"schema": {"type": "string"}}},
        }
    },
)
async def stream_events(
    actor: StreamReader,
    list_id: UuidStr,
    request: Request,
    last_event_id: Annotated[str | None, Header(description="The last `id` that you know. Absent: live.")] = None,
) -> EventStream:
    """What happens in a list, as it happens: server-sent events. A token needs `todos:read`.

    With `Last-Event-ID` everything after it comes first; 410 if that is lost, or more than 1,000 events ago.
    """
    return EventStream(request.state.rooms, Client(actor), list_id, last_event_id)
