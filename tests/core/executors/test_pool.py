"""The pool by itself: what a connection is, is its owner's business."""

import asyncio

import pytest

from doable.core.executors import pool
from doable.core.executors.pool import Pool, Upkeep
from doable.core.faults import Unavailable


class Silent:
    """Connections that are open and say nothing."""

    def __init__(self) -> None:
        self.asked = 0
        self.opened = 0
        self.closed: list[int] = []
        self.pause = 0.1

    async def open(self) -> int:
        self.opened += 1
        return self.opened

    async def close(self, connection: int) -> None:
        self.closed.append(connection)

    async def answers(self, _connection: int) -> bool:
        self.asked += 1
        await asyncio.sleep(self.pause)
        return False


async def test_who_meets_only_connections_that_are_silent_is_told_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    silent = Silent()
    upkeep = Upkeep(
        open=silent.open, close=silent.close, is_closed=lambda _: False, answers=silent.answers, recycle=3600
    )
    silently = Pool(upkeep, size=20, overflow=0, wait=0.15)
    for connection in [await silently.take() for _ in range(20)]:
        silently.give(connection)
    monkeypatch.setattr(pool, "TRUSTED", -1.0)
    with pytest.raises(Unavailable):
        await silently.take()
    assert silent.asked <= 2
    silent.pause = 10.0  # one alone may not answer for longer than he waits
    async with asyncio.timeout(1):
        with pytest.raises(Unavailable):
            await silently.take()
    await silently.close()


async def test_who_waits_too_long_for_a_new_connection_is_told_and_the_next_one_has_it() -> None:
    silent, ready = Silent(), asyncio.Event()

    async def slowly() -> int:
        await ready.wait()
        return await silent.open()

    upkeep = Upkeep(open=slowly, close=silent.close, is_closed=lambda _: False, answers=silent.answers, recycle=3600)
    slow = Pool(upkeep, size=1, overflow=0, wait=0.1)
    with pytest.raises(Unavailable):
        await slow.take()
    assert slow.status.in_use == 1
    ready.set()
    assert await slow.take() == 1
    slow.give(1)
    assert slow.status.in_use == 0
    assert silent.opened == 1
    await slow.close()


async def test_a_chore_ends_before_the_pool_does() -> None:
    silent = Silent()
    upkeep = Upkeep(
        open=silent.open, close=silent.close, is_closed=lambda _: False, answers=silent.answers, recycle=3600
    )
    busy = Pool(upkeep, size=1, overflow=0, wait=1)
    chore = busy.do(silent.answers(1))
    await busy.close()
    assert chore.done()


async def test_what_a_crowd_has_opened_serves_the_next_one_and_goes_when_nobody_wants_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    silent = Silent()
    upkeep = Upkeep(
        open=silent.open, close=silent.close, is_closed=lambda _: False, answers=silent.answers, recycle=3600
    )
    crowded = Pool(upkeep, size=2, overflow=3, wait=1)
    for _ in range(3):
        for connection in [crowded.take_now() or await crowded.take() for _ in range(5)]:
            crowded.give(connection)
    assert (silent.opened, silent.closed) == (5, [])
    monkeypatch.setattr(pool, "LINGER", -1.0)
    for _ in range(5):
        crowded.give(crowded.take_now() or 0)
    await asyncio.sleep(0)
    assert silent.closed == [1, 2, 3]
    await crowded.close()
    assert silent.closed == [1, 2, 3, 5, 4]
