"""The oracle is awake: it notices what is lost, doubled or invented, and the proxy does the harm it says."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from doable.settings import Settings
from tests.support import folding, oracle, rooms
from tests.support.faultproxy import BOTH, FaultProxy
from tests.support.ledger import Entry, Ledger, Outcome
from tests.support.sinks import Mails

sqlite_only = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


async def nothing() -> None: ...


@sqlite_only
async def test_the_oracle_notices_what_is_lost_doubled_or_invented(settings: Settings) -> None:
    async with rooms.serving(settings) as served:
        ledger = Ledger(served.base_url, seed=1, pause=0.02)
        await ledger.open()
        async with ledger.writing():
            await rooms.eventually(lambda: len(ledger.entries) > 30)
        home = ledger.list_ids[0]
        for title in ("twice", "twice", "refused"):
            await ledger.person.todo(title, list_id=home)
        for title, outcome in (("never", Outcome.OK), ("twice", Outcome.OK), ("refused", Outcome.FAIL)):
            ledger.entries.append(Entry(title, home, "POST", "/todos", {}, outcome=outcome))
        ledger.entries = [entry for entry in ledger.entries if "@" not in entry.title]  # nobody sends mails here
        for follower in ledger.followers:
            follower.copy = await folding.fold(ledger.person, follower.list_id)
        verdict = await oracle.judge(ledger, nothing, Mails())
        await ledger.close()
    assert (verdict.lost, verdict.doubled, verdict.invented) == (["never"], ["twice"], ["refused"])
    assert verdict.acknowledged > 20
    with pytest.raises(AssertionError):
        verdict.check(slowest=60)


@pytest.fixture
async def proxy() -> AsyncIterator[FaultProxy]:
    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(1024):
            writer.write(data)
        writer.close()

    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    async with server, FaultProxy(server.sockets[0].getsockname()[1]) as proxy:
        yield proxy


async def test_the_proxy_does_the_harm_that_it_says(proxy: FaultProxy) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)

    async def echoed(seconds: float = 5.0) -> bytes:
        writer.write(b"x")
        async with asyncio.timeout(seconds):
            return await reader.read(1024)

    assert await echoed() == b"x"
    proxy.swallows = BOTH
    with pytest.raises(TimeoutError):
        await echoed(0.2)
    proxy.swallows = frozenset()
    assert await echoed() in {b"x", b"xx"}
    proxy.countdown = 0
    with pytest.raises(ConnectionResetError):
        while await echoed():
            pass
    assert proxy.countdown is None
    proxy.refuses = True
    reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
    with pytest.raises(ConnectionResetError):
        await echoed()
