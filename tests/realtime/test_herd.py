"""All come back at once: the log is read once for them, and who does not fit waits as long as he is told."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from uuid import UUID

import pytest

from doable.client import Client, Position
from doable.core import clock, streams
from doable.core import events as log
from doable.core.events import Event
from doable.realtime import admission, connections, rooms
from tests.support.people import Person
from tests.support.rooms import Served
from tests.test_statement_counts import counted

KNOWN, MISSED = 52, 50

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


@contextmanager
def watched(served: Served) -> Iterator[list[int]]:
    """How many were waiting for their turn, each time somebody came."""
    seen: list[int] = []
    admitting = served.state["rooms"].admission
    turn = admitting.turn

    def counting() -> object:
        seen.append(admitting._coming)
        return turn()

    admitting.turn = counting
    yield seen


@pytest.mark.slow
@pytest.mark.timeout(240)
async def test_a_herd_that_comes_back_reads_the_log_once_and_waits_its_turn(
    served: Served, ana: Person, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "PER_PERSON", 10_000)
    count = 2_000 if request.config.getoption("--long") else 250
    if count < admission.WAITING:
        monkeypatch.setattr(admission, "WAITING", 40)
    async with served.state["db"].transaction() as tx:
        revision = await streams.bump(tx, UUID(ana.inbox_id), KNOWN + MISSED - 2)
        told = [Event("list.updated", "{}")] * (KNOWN + MISSED - 2)
        await log.append(tx, UUID(ana.inbox_id), revision, log.operation(None, clock.now()), *told)
    began = clock.monotonic()
    async with Client(served.base_url, token=ana.tokens["access_token"], trust_env=False) as client:
        with counted(served) as statements, watched(served) as waiting:
            refused = await asyncio.gather(
                *(_come_back(client, ana.inbox_id, served.state["epoch"]) for _ in range(count))
            )
    queries = [text for text in statements if "FROM events" in text]
    assert len(queries) <= 1 + (clock.monotonic() - began) // rooms.KEPT
    assert max(waiting) <= admission.WAITING
    assert sum(refused) > 0, "the queue was never full: nothing was shown"


async def _come_back(client: Client, list_id: str, epoch: str) -> int:
    """How often it was turned away before it had all that it had missed."""
    async with client.follow(list_id, Position(epoch, KNOWN)) as following:
        seen = [(await anext(following)).position.revision for _ in range(MISSED)]
        assert seen == list(range(KNOWN + 1, KNOWN + MISSED + 1))
        assert (following.doubles, following.gaps) == (0, 0)
        return following.breaks
