"""Server-sent events: the log of a list as a stream for programs."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx2
import pytest

from doable.realtime.routes import streams
from tests.support.people import API, Person
from tests.support.rooms import Served, eventually, expel


class Stream:
    """What a program makes of the lines."""

    def __init__(self, answer: httpx2.Response) -> None:
        self.answer = answer
        self._lines = answer.aiter_lines()

    async def next(self) -> dict[str, str]:
        """The fields up to the next empty line; a comment has the name ''."""
        fields: dict[str, str] = {}
        async with asyncio.timeout(10):
            async for line in self._lines:
                if not line:
                    return fields
                name, _, value = line.partition(":")
                fields[name] = value.removeprefix(" ")
        raise EOFError


@asynccontextmanager
async def listening(person: Person, list_id: str, since: str | None = None) -> AsyncIterator[Stream]:
    headers = {**person.headers, **({"Last-Event-ID": since} if since is not None else {})}
    path = f"{API}/lists/{list_id}/events/stream"
    async with person.client.stream("GET", path, headers=headers) as answer:
        yield Stream(answer)


async def left(served: Served) -> None:
    """The server has let go of everybody."""
    await eventually(lambda: not served.state["rooms"]._people)


async def test_events_come_as_the_log_has_them_each_with_its_position(served: Served, ana: Person) -> None:
    epoch = served.state["epoch"]
    async with listening(ana, ana.inbox_id) as stream:
        assert stream.answer.headers["content-type"].startswith("text/event-stream")
        assert stream.answer.headers["cache-control"] == "no-store"
        assert await stream.next() == {"id": f"{epoch}:2"}
        await ana.todo("line\\nend")
        event = await stream.next()
    (logged,) = (await ana.get(f"/lists/{ana.inbox_id}/events", params={"after": f"{epoch}:2"})).json()["events"]
    assert (event["id"], event["event"], json.loads(event["data"])) == (f"{epoch}:3", "todo.created", logged)


async def test_after_the_last_id_everything_comes_that_was_missed(served: Served, ana: Person) -> None:
    epoch = served.state["epoch"]
    for n in range(3):
        await ana.todo(f"missed {n}")
    async with listening(ana, ana.inbox_id, f"{epoch}:3") as stream:
        await ana.todo("live")
        assert await stream.next() == {"": ""}
        assert [(await stream.next())["id"] for _ in range(3)] == [f"{epoch}:{n}" for n in (4, 5, 6)]


@pytest.mark.parametrize("since", ["otherepoch:2", "{epoch}:3", "nonsense"])
async def test_from_a_lost_position_there_is_no_stream(served: Served, ana: Person, since: str) -> None:
    async with listening(ana, ana.inbox_id, since.format(epoch=served.state["epoch"])) as stream:
        await stream.answer.aread()
        assert (stream.answer.status_code, stream.answer.json()["error"]["code"]) == (410, "POSITION_LOST")


async def test_it_ends_with_membership_and_session(served: Served, ana: Person, ben: Person, home: str) -> None:
    async with listening(ben, home) as bens, listening(ana, home) as anas:
        await asyncio.gather(bens.next(), anas.next())
        await expel(ana, home, ben)
        assert (await bens.next())["event"] == "member.removed"
        with pytest.raises(EOFError):
            await bens.next()
        await ana.post("/auth/logout")
        assert (await anas.next())["event"] == "member.removed"
        with pytest.raises(EOFError):
            await anas.next()
    await left(served)


async def test_a_stranger_and_a_query_credential_are_refused(ana: Person, ben: Person) -> None:
    async with listening(ben, ana.inbox_id) as stream:
        assert stream.answer.status_code == 404
    path = f"{API}/lists/{ana.inbox_id}/events/stream"
    answer = await ana.client.get(path, params={"token": ana.tokens["access_token"]})
    assert answer.status_code == 401


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_a_silent_stream_shows_that_it_is_alive_and_one_that_is_left_is_let_go(
    served: Served, ana: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streams, "HEARTBEAT", 0.05)
    async with listening(ana, ana.inbox_id) as stream:
        await stream.next()
        assert [await stream.next(), await stream.next()] == [{"": ""}] * 2
        assert served.state["rooms"]._people
    await left(served)


async def test_head_answers_without_a_stream(ana: Person) -> None:
    answer = await ana.request("HEAD", f"/lists/{ana.inbox_id}/events/stream")
    assert (answer.status_code, answer.content) == (200, b"")
