"""The Python client: one effect for each call, and each event of a list once and in order, whatever is cut."""

import asyncio
import json
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any
from uuid import UUID

import pytest
from websockets.asyncio.server import ServerConnection, serve

from doable.client import (
    Change,
    Client,
    Copy,
    Event,
    Member,
    Position,
    Refused,
    RoomClosed,
    Snapshot,
    Todo,
    TodoList,
    sending,
)
from doable.core import clock, streams
from doable.core import events as log
from tests.support.documents import ROOT
from tests.support.folding import shown
from tests.support.people import API, PASSWORD, Person
from tests.support.relays import Relay
from tests.support.rooms import Served, expel
from tests.support.sharing import join

OPENAPI = json.loads((ROOT / "docs/openapi.json").read_text())
HARMLESS = {"POST /auth/login", "POST /auth/refresh", "POST /auth/logout", "POST /auth/ticket", "POST /sync",
            "POST /lists/{list_id}/invitations"}  # fmt: skip
"""Without a key, and sent twice they have no other effect."""

sqlite_only = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


@pytest.fixture
async def ana(served: Served) -> Person:
    return await served.register("ana")


@pytest.fixture
async def ben(served: Served) -> Person:
    return await served.register("ben")


@pytest.fixture
async def relay(served: Served) -> AsyncIterator[Relay]:
    async with Relay(served.port) as relay:
        yield relay


@pytest.fixture
async def client(relay: Relay, ana: Person) -> AsyncIterator[Client]:
    """Ana's, through the relay."""
    async with Client(relay.base_url, trust_env=False) as client:
        await client.log_in(ana.user["email"], PASSWORD)
        yield client


async def scripted(*answers: str) -> asyncio.Server:
    """A server that gives these answers, one a connection."""
    left = list(answers)

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(left.pop(0).encode())
        writer.close()

    return await asyncio.start_server(answer, "127.0.0.1", 0)


def url_of(server: asyncio.Server) -> str:
    return f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


# What the documents say


@pytest.mark.parametrize(
    ("shape", "schema"),
    [(Todo, "TodoResponse"), (TodoList, "ListResponse"), (Member, "MemberResponse"), (Event, "EventResponse")],
)
def test_the_types_are_those_of_the_document(shape: type, schema: str) -> None:
    assert list(shape.__annotations__) and set(shape.__annotations__) == set(  # noqa: PT018 — the same thing
        OPENAPI["components"]["schemas"][schema]["properties"]
    )


def test_what_has_no_key_and_is_not_harmless_is_never_sent_twice() -> None:
    keyless = {
        f"{method.upper()} {path.removeprefix(API)}"
        for path, operations in OPENAPI["paths"].items()
        for method, operation in operations.items()
        if method in {"post", "put", "patch", "delete"}
        and not any(parameter["name"].lower() == "idempotency-key" for parameter in operation.get("parameters", []))
    }
    once = {operation for operation in keyless if sending._ONCE.fullmatch(re.sub(r"{\w+}", "x", operation))}
    assert keyless - once == HARMLESS


# Calls


@sqlite_only
async def test_a_write_whose_answer_is_lost_is_sent_again_and_done_once(
    client: Client, relay: Relay, ana: Person
) -> None:
    relay.deaf = True
    writing = asyncio.create_task(client.create_todo("Milk"))
    while not (items := (await ana.get("/todos")).json()["items"]):  # noqa: ASYNC110 — it happens elsewhere
        await asyncio.sleep(0.02)
    relay.deaf = False
    relay.cut()
    assert (await writing)["id"] == items[0]["id"]
    assert [todo["title"] async for todo in client.all("/todos")] == ["Milk"]


async def test_who_is_told_to_wait_waits_and_is_answered() -> None:
    later = "HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    good = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}"
    async with await scripted(later, good) as server, Client(url_of(server), trust_env=False) as client:
        began = asyncio.get_running_loop().time()
        assert (await client.call("GET", "/todos")).content == b"{}"
        assert asyncio.get_running_loop().time() - began >= 1


@pytest.mark.parametrize(("path", "answers"), [("/users", 1), ("/todos", 2)])
async def test_after_an_uncertain_end_only_what_may_be_is_sent_again(path: str, answers: int) -> None:
    lost = "HTTP/1.1 504 Gateway Timeout\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    no = "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    async with await scripted(lost, no) as server, Client(url_of(server), trust_env=False) as client:
        with pytest.raises(Refused) as refusal:
            await client.call("POST", path, {})
    assert refusal.value.status == (504, 400)[answers - 1]


@sqlite_only
async def test_an_expired_token_is_renewed_by_one_of_many_calls(client: Client, ana: Person) -> None:
    client._access = "nonsense"
    await asyncio.gather(*(client.create_todo(f"todo {n}") for n in range(10)))
    assert (await ana.get("/todos")).json()["total"] == 10
    assert len((await ana.get("/auth/sessions")).json()["items"]) == 2
    await client.log_out()
    with pytest.raises(Refused, match="401 UNAUTHENTICATED"):
        await client.create_todo("too late")


@sqlite_only
async def test_a_listing_is_read_to_its_end(client: Client, ana: Person) -> None:
    for start in range(0, 450, 90):
        operations = [{"op": "todo.create", "data": {"title": f"{start + n}"}} for n in range(90)]
        assert (await ana.post("/batch", {"operations": operations})).status_code == 200
    assert len([todo async for todo in client.all("/todos", list_id=ana.inbox_id)]) == 450
    assert len((await client.snapshot(ana.inbox_id)).todos) == 450


# Following


async def test_a_copy_is_kept_right_through_cuts(client: Client, relay: Relay, ana: Person, ben: Person) -> None:
    home = (await client.create_list("Groceries"))["id"]
    await client.create_todo("before", list_id=home)
    copy = Copy()
    revisions: list[int] = []
    async with client.follow(home) as following:
        copy.apply(await anext(following))
        writing = asyncio.create_task(_write(ana, ben, home))
        while len(revisions) < 32:
            item = await anext(following)
            copy.apply(item)
            revisions.append(item.position.revision)
            if len(revisions) == 5:
                relay.cut()
        await writing
        assert following.breaks
    assert revisions == list(range(4, 36))
    the_list, todos = await shown(ana, home)
    assert (copy.home, copy.in_order()) == ({**the_list, "role": "owner"}, todos)
    assert [member["user"]["username"] for member in copy.members.values()] == ["ana"]
    assert not copy.deleted


async def _write(ana: Person, ben: Person, home: str) -> None:
    await join(ana, ben, home)
    for n in range(24):
        await ana.todo(f"{n}", list_id=home)
    kept = await ana.todo("kept", list_id=home)
    await ana.patch(f"/todos/{kept['id']}", {"title": "and changed"})
    todo = await ana.todo("last", list_id=home)
    await ana.put(f"/todos/{todo['id']}/completion")
    await ana.delete(f"/todos/{todo['id']}")
    await ana.patch(f"/lists/{home}", {"name": "Food"})
    await expel(ana, home, ben)


@sqlite_only
async def test_what_a_snapshot_has_already_is_not_made_older(client: Client, ana: Person) -> None:
    todo = await client.create_todo("first")
    before = (await client.snapshot(ana.inbox_id)).position
    await ana.patch(f"/todos/{todo['id']}", {"title": "second"})
    await ana.patch(f"/todos/{todo['id']}", {"title": "third"})
    copy, snapshot = Copy(), await client.snapshot(ana.inbox_id)
    copy.apply(snapshot)
    for change in (await client.log(ana.inbox_id, before))[:1]:
        copy.apply(change)
    assert copy.in_order() == snapshot.todos


@sqlite_only
async def test_what_a_room_does_not_replay_is_read_from_the_log(served: Served, client: Client, ana: Person) -> None:
    async with served.state["db"].transaction() as tx:
        revision = await streams.bump(tx, UUID(ana.inbox_id), 2_500)
        told = [log.Event("list.updated", "{}")] * 2_500
        await log.append(tx, UUID(ana.inbox_id), revision, log.operation(None, clock.now()), *told)
    async with client.follow(ana.inbox_id, Position(served.state["epoch"], 0)) as following:
        seen = [await anext(following) for _ in range(2_502)]
        await ana.todo()
        seen.append(await anext(following))
    assert [item.position.revision for item in seen] == list(range(1, 2_504))


@sqlite_only
@pytest.mark.parametrize("lost", [Position("otherepoch", 1), Position("{epoch}", 999)])
async def test_after_a_lost_position_comes_the_whole_list(
    served: Served, client: Client, ana: Person, lost: Position
) -> None:
    todo = await ana.todo()
    since = lost._replace(epoch=lost.epoch.format(epoch=served.state["epoch"]))
    async with client.follow(ana.inbox_id, since) as following:
        item = await anext(following)
        assert isinstance(item, Snapshot)
        assert (item.position.revision, item.todos) == (3, [todo])
        await ana.todo()
        assert (await anext(following)).position.revision == 4


async def test_a_server_that_repeats_and_skips_is_put_right() -> None:
    """Ours does neither; a proxy or a bug may. It is also told when to come back."""
    asked: list[str] = []
    script = [[1, 1, 2, 4], [3, 4], [5]]

    async def room(socket: ServerConnection) -> None:
        assert socket.request is not None
        asked.append(socket.request.path.rpartition("=")[2])
        await socket.send(json.dumps({"type": "welcome", "recovered": True}))
        for revision in script[len(asked) - 1]:
            await socket.send(json.dumps({"type": "event", "event": {"revision": revision}}))
        await socket.close(1012, '{"retry_after": 2}') if len(asked) > 1 else await socket.wait_closed()

    async with serve(room, "127.0.0.1", 0) as server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        async with Client(url, trust_env=False) as client, client.follow("x", Position("k3v9x2mq", 0)) as following:
            seen = [(await anext(following)).position.revision for _ in range(4)]
            began = asyncio.get_running_loop().time()
            seen.append((await anext(following)).position.revision)
    assert asyncio.get_running_loop().time() - began >= 2
    assert seen == [1, 2, 3, 4, 5]
    assert asked == ["k3v9x2mq:0", "k3v9x2mq:2", "k3v9x2mq:4"]
    assert (following.doubles, following.gaps) == (1, 1)


async def remove(ana: Person, ben: Person, home: str) -> None:
    await expel(ana, home, ben)


async def end_sessions(_ana: Person, ben: Person, _home: str) -> None:
    await ben.delete("/auth/sessions")


@sqlite_only
@pytest.mark.parametrize(("ends", "code"), [(remove, 4003), (end_sessions, 4004)])
async def test_who_may_hear_no_more_is_told_so(
    served: Served,
    ana: Person,
    ben: Person,
    ends: Callable[[Person, Person, str], Awaitable[None]],
    code: int,
) -> None:
    home = (await ana.list())["id"]
    await join(ana, ben, home)
    async with Client(served.base_url, trust_env=False) as client:
        await client.log_in("ben", PASSWORD)
        async with client.follow(home) as following:
            seen: list[Any] = [await anext(following)]
            await ends(ana, ben, home)
            with pytest.raises(RoomClosed) as closed:
                seen += [item async for item in following]
    assert closed.value.code == code


@sqlite_only
async def test_a_token_that_has_expired_is_renewed_at_the_door(client: Client, ana: Person) -> None:
    async with client.follow(ana.inbox_id) as following:
        await anext(following)
        client._access = "nonsense"
        await ana.todo()
        assert isinstance(await anext(following), Change)
    async with Client(client.url, token="nonsense", trust_env=False) as stranger:
        with pytest.raises(RoomClosed, match="4004"):
            await anext(stranger.follow(ana.inbox_id, Position("k3v9x2mq", 0)))
