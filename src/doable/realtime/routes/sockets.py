"""Rooms over WebSocket: docs/rooms.md describes the messages."""

import asyncio
from typing import NamedTuple
from urllib.parse import urlsplit
from uuid import UUID

import orjson
from fastapi import APIRouter
from pydantic import TypeAdapter, ValidationError
from starlette.websockets import WebSocket, WebSocketDisconnect

from doable.accounts import access
from doable.accounts.access import Actor
from doable.accounts.operations import tickets
from doable.core.db import DatabaseError
from doable.core.errors import AppException, Code, not_found
from doable.core.http import body, guard, limiting
from doable.core.types import UuidStr
from doable.realtime import frames
from doable.realtime.clients import Client
from doable.realtime.connections import ConnectionManager
from doable.realtime.outbox import NO_MEMBER, NO_SESSION, TOO_MANY, UNREADABLE, Closing
from doable.realtime.pace import Pace
from doable.realtime.schemas import Ping, Say

SUBPROTOCOL = "doable.v1"
TICKET = "ticket."
MESSAGES_PER_SECOND = 50
BURST = 100
LAST_WORDS = 5.0
"""Seconds that the end of a connection may take."""

_REFUSALS = {
    Code.UNAUTHENTICATED: Closing(NO_SESSION, "no session"),
    Code.SESSION_ENDED: Closing(NO_SESSION, "the session has ended"),
    Code.INSUFFICIENT_SCOPE: Closing(NO_MEMBER, "the token lacks the scope todos:read"),
    Code.NOT_FOUND: Closing(NO_MEMBER, "not a member"),
    Code.RATE_LIMITED: Closing(TOO_MANY, "too many connections"),
}
"""What becomes a close code; everything else is answered by HTTP."""
_uuid = TypeAdapter[UUID](UuidStr)

router = APIRouter()


class Shown(NamedTuple):
    """What a handshake brings along."""

    bearer: str
    ticket: str | None
    subprotocol: str | None


async def open_room(socket: WebSocket) -> None:
    """Hear and say what happens in a list, or hear everything (`me`).

    A route of Starlette: FastAPI would keep two exit stacks and a dozen frames for each connection as long as it lasts.
    """
    room_id: str = socket.path_params["room_id"]
    rooms: ConnectionManager = socket.state.rooms
    client: Client | None = None
    try:
        shown = _shown(socket)
        closing: Closing | None = None
        try:
            _check_origin(socket)
            async with rooms.admission.turn():
                client = await _client(socket, shown, room_id)
                await _connect(rooms, client, socket, room_id)
        except AppException as refusal:
            closing = _REFUSALS.get(refusal.code)
            if closing is None:
                raise
        await socket.accept(shown.subprotocol)
        if closing is not None or client is None:
            await socket.close(*(closing or _REFUSALS[Code.UNAUTHENTICATED]))
        else:
            await _serve(socket, rooms, client)
    except (AppException, DatabaseError) as refusal:
        await guard.refuse_socket(socket.scope, socket.send, refusal)
    except WebSocketDisconnect:
        pass
    finally:
        if client is not None:
            rooms.disconnect(client)


router.add_websocket_route("/ws/{room_id}", open_room)


def _check_origin(socket: WebSocket) -> None:
    """A browser says from which page it comes; a page of somebody else must not act in the name of its reader."""
    origin = socket.headers.get("origin")
    settings = socket.state.settings
    public = urlsplit(settings.public_url)
    if origin is not None and origin not in {*settings.cors_origins, f"{public.scheme}://{public.netloc}"}:
        raise AppException(Code.FORBIDDEN, "The setting CORS_ORIGINS does not list this origin.")


def _shown(socket: WebSocket) -> Shown:
    scheme, _, bearer = socket.headers.get("authorization", "").partition(" ")
    offered: list[str] = socket.scope.get("subprotocols", [])
    by_protocol = [name.removeprefix(TICKET) for name in offered if name.startswith(TICKET)]
    ticket = socket.query_params.get("token") or next(iter(by_protocol), None)
    return Shown(
        bearer=bearer.strip() if scheme.lower() == "bearer" else "",
        ticket=ticket,
        subprotocol=SUBPROTOCOL if SUBPROTOCOL in offered else None,
    )


async def _client(socket: WebSocket, shown: Shown, room_id: str) -> Client:
    actor = await _actor(socket, shown)
    limiting.charge(socket, str(actor.user_id), "read")
    actor.need("todos:read")
    return Client(actor, everything=room_id == frames.ME, sociable=room_id != frames.ME)


async def _actor(socket: WebSocket, shown: Shown) -> Actor:
    if shown.bearer:
        return await access.of_bearer(socket, shown.bearer)
    limiting.charge_network(socket)
    ticket = await tickets.redeem(socket.state.db, shown.ticket or "")
    if ticket is None:
        raise access.unauthenticated()
    return await access.of_ticket(socket, ticket)


async def _connect(rooms: ConnectionManager, client: Client, socket: WebSocket, room_id: str) -> None:
    since = socket.query_params.get("since")
    if not client.everything:
        await rooms.connect(client, _list_id(room_id), since)
        return
    await rooms.connect(client, None, None)
    if since is not None:
        message = "This room has no position to resume from: call /sync."
        client.outbox.push(frames.error(Code.VALIDATION_ERROR, message))


def _list_id(room_id: str) -> UUID:
    try:
        return _uuid.validate_python(room_id)
    except ValidationError:
        raise not_found("list") from None


async def _serve(socket: WebSocket, rooms: ConnectionManager, client: Client) -> None:
    """The task of the handshake reads, another one writes, until either has come to an end."""
    writer = asyncio.create_task(_write(socket, client), name="room.write")
    try:
        await _read(socket, rooms, client)
        if client.outbox.closing is not None:
            await asyncio.wait([writer], timeout=LAST_WORDS)
    finally:
        writer.cancel()
        await asyncio.wait([writer])


async def _write(socket: WebSocket, client: Client) -> None:
    outbox = client.outbox
    outbox.bind(asyncio.current_task())
    try:
        while (frame := await outbox.next()) is not None:
            await socket.send({"type": "websocket.send", "text": frame if isinstance(frame, str) else frame.text})
    except asyncio.CancelledError:
        if outbox.closing is None:
            raise
    except WebSocketDisconnect:
        return
    if outbox.closing is not None:
        await socket.close(*outbox.closing)


async def _read(socket: WebSocket, rooms: ConnectionManager, client: Client) -> None:
    messages = Pace(MESSAGES_PER_SECOND, BURST)
    while client.outbox.closing is None:
        message = await socket.receive()
        if message["type"] == "websocket.disconnect" or client.outbox.closing is not None:
            return
        if not messages.take():
            client.outbox.close(Closing(TOO_MANY, "too many messages"), at_once=True)
        elif (text := message.get("text")) is None:
            client.outbox.close(Closing(UNREADABLE, "not text"), at_once=True)
        else:
            _take(text.encode(), rooms, client)


def _take(data: bytes, rooms: ConnectionManager, client: Client) -> None:
    if not client.pace.take(len(data)):
        client.outbox.close(Closing(TOO_MANY, "too many bytes"), at_once=True)
        return
    try:
        content = body.parse(data)
    except AppException:
        client.outbox.close(Closing(UNREADABLE, "not JSON"), at_once=True)
        return
    try:
        _answer(content, rooms, client)
    except AppException as error:
        client.outbox.push(frames.error(error.code, error.message))
    except ValidationError:
        client.outbox.push(frames.error(Code.VALIDATION_ERROR, "There is no such message."))
    except orjson.JSONEncodeError:
        client.outbox.push(frames.error(Code.VALIDATION_ERROR, "An integer has more than 64 bits."))


def _answer(content: object, rooms: ConnectionManager, client: Client) -> None:
    if not isinstance(content, dict) or "type" not in content:
        rooms.broadcast(client, content)
    elif content["type"] == "ping":
        client.outbox.push(frames.pong(Ping.model_validate(content).id))
    else:
        rooms.broadcast(client, Say.model_validate(content).message)
