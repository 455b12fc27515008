"""Time limits that are looked at together end what is overdue, and nothing else."""

import asyncio

import pytest

from doable.core.wheel import TICK, Limit, Wheel


def soon() -> float:
    return asyncio.get_running_loop().time() + TICK / 2


async def test_what_is_overdue_is_ended_with_a_timeout() -> None:
    limit = Limit(Wheel())
    with pytest.raises(TimeoutError), limit:
        limit.move(soon())
        await asyncio.sleep(30)
    assert limit.expired
    current = asyncio.current_task()
    assert current is not None
    assert not current.cancelling()


async def test_a_limit_that_is_moved_ends_nothing_before_its_time() -> None:
    wheel = Wheel()
    with Limit(wheel) as never, Limit(wheel) as later:
        for limit in (never, later):
            limit.move(soon())
        never.move(None)
        later.move(soon() + 30)
        await asyncio.sleep(3 * TICK)
    assert not never.expired
    assert not later.expired


async def test_somebody_elses_cancellation_stays_one() -> None:
    async def work() -> None:
        with Limit(Wheel()) as limit:
            limit.move(soon() + 30)
            await asyncio.sleep(30)

    task = asyncio.create_task(work())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_each_task_has_its_own_limit() -> None:
    wheel = Wheel()

    async def work(seconds: float) -> str:
        try:
            with Limit(wheel) as limit:
                limit.move(asyncio.get_running_loop().time() + seconds)
                await asyncio.sleep(4 * TICK)
        except TimeoutError:
            return "ended"
        return "done"

    assert [*await asyncio.gather(work(TICK), work(30), work(TICK / 2))] == ["ended", "done", "ended"]


def test_a_wheel_serves_one_loop_after_the_other() -> None:
    wheel = Wheel()

    async def overdue() -> None:
        with Limit(wheel) as limit:
            limit.move(soon())
            await asyncio.sleep(30)

    for _ in range(2):
        with pytest.raises(TimeoutError):
            asyncio.run(overdue())
