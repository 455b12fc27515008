"""Several processes write at once while readers poll: no event is skipped, doubled or out of order."""

import asyncio
import random
from collections.abc import Iterator
from contextlib import AsyncExitStack, ExitStack
from pathlib import Path

import httpx2
import pytest

from doable.settings import Settings
from tests.support import folding, servers
from tests.support.people import Person, register

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

LISTS = 5
WRITES = 2_000
WRITERS = 16
POLLERS = 2
"""For each list."""


@pytest.fixture
def addresses(settings: Settings, tmp_path: Path) -> Iterator[list[str]]:
    """Of two processes on PostgreSQL, and of the one that SQLite allows."""
    with ExitStack() as stack:
        count = 1 if settings.embedded else 2
        yield [stack.enter_context(servers.serve(settings, tmp_path)).base_url for _ in range(count)]


async def test_no_reader_skips_an_event_while_many_write(addresses: list[str]) -> None:
    async with AsyncExitStack() as stack, asyncio.timeout(270):
        clients = [
            await stack.enter_async_context(httpx2.AsyncClient(base_url=address, timeout=60, trust_env=False))
            for address in addresses
        ]
        ana = await register(clients[0], "ana")
        # The same person through each process.
        people = [Person(client, ana.user, ana.tokens) for client in clients]
        list_ids = [(await ana.list(f"{n}"))["id"] for n in range(LISTS)]
        ended = asyncio.Event()
        pollers = [
            asyncio.create_task(_poll(people[n % len(people)], list_id, ended))
            for n, list_id in enumerate(list_ids * POLLERS)
        ]
        left = iter(range(WRITES))
        writers = [_write(people[n % len(people)], list_ids, left, random.Random(n)) for n in range(WRITERS)]  # noqa: S311
        written = [each for these in await asyncio.gather(*writers) for each in these]
        ended.set()
        copies = await asyncio.gather(*pollers)
        assert len(written) == WRITES
        for n, list_id in enumerate(list_ids):
            revisions = sorted(revision for home, revision in written if home == list_id)
            assert revisions == list(range(3, 3 + len(revisions)))  # the first two were its making
            shown = await folding.shown(ana, list_id)
            for copy in (*copies[n::LISTS], await folding.fold(ana, list_id)):
                assert (copy.home, copy.in_order()) == shown
                assert copy.revision == 2 + len(revisions)


async def _write(
    person: Person, list_ids: list[str], left: Iterator[int], chance: random.Random
) -> list[tuple[str, int]]:
    """Which revision of which list each write has made."""
    written = []
    mine: list[tuple[str, str]] = []
    for n in left:
        list_id, todo_id = chance.choice(mine) if mine else (None, None)
        if list_id is None or chance.random() < 0.4:
            list_id = chance.choice(list_ids)
            answer = await person.post("/todos", {"title": f"{n}", "list_id": list_id})
            mine.append((list_id, answer.json()["id"]))
        elif chance.random() < 0.2:
            mine.remove((list_id, str(todo_id)))
            answer = await person.delete(f"/todos/{todo_id}")
        elif chance.random() < 0.2:
            list_id = chance.choice(list_ids)
            answer = await person.patch(f"/lists/{list_id}", {"name": f"{n}"})
        else:
            answer = await person.patch(f"/todos/{todo_id}", {"title": f"{n}"})
        assert answer.is_success, answer.text
        written.append((list_id, int(answer.headers["doable-position"].partition(":")[2])))
    return written


async def _poll(person: Person, list_id: str, ended: asyncio.Event) -> folding.Copy:
    """Ask for what comes after the revision that was seen last, until nothing more can come."""
    copy = folding.Copy()
    while True:
        last = ended.is_set()
        seen = await folding.catch_up(person, list_id, copy, limit=50)
        if last and seen == copy.revision:
            return copy
        await asyncio.sleep(0)
