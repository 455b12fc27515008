"""The bell that PostgreSQL carries, between processes."""

from collections.abc import Sequence
from functools import partial
from uuid import UUID

import pytest

from doable.core import ids
from doable.core.hub_postgres import PostgresHub
from tests.support.rooms import eventually

pytestmark = pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)


type Moved = tuple[UUID, int]


async def test_each_process_hears_the_others_and_itself_but_once(database_url: str) -> None:
    hubs = PostgresHub(database_url), PostgresHub(database_url)
    heard: list[list[Moved]] = [[], []]
    for hub, its in zip(hubs, heard, strict=True):
        hub.on_moved(partial(_hear, its))
        await hub.start()
    stream = ids.new_id()
    try:
        await eventually(lambda: not any(hub.degraded for hub in hubs))
        for number, hub in enumerate([*hubs, hubs[0]]):  # when all hear the last, they have heard what came before
            hub.announce({stream: number})
            await eventually(partial(_all_heard, heard, (stream, number)))
    finally:
        for hub in hubs:
            await hub.close()
    assert heard == [[(stream, 0), (stream, 1), (stream, 2)]] * 2


def _all_heard(heard: Sequence[Sequence[Moved]], moved: Moved) -> bool:
    return all(moved in its for its in heard)


def _hear(heard: list[Moved], stream_id: UUID, revision: int) -> None:
    heard.append((stream_id, revision))
