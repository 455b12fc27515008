"""taskiq on streams of Valkey, as bench/jobs.py compares with it: they give a task again when its worker has died."""

import asyncio
import time
from collections.abc import Callable
from contextlib import AsyncExitStack

from taskiq.receiver import Receiver
from taskiq_redis import RedisStreamBroker

TASK = "bench.note"


class Sender:
    """What enqueues."""

    def __init__(self, broker: RedisStreamBroker) -> None:
        self._broker = broker

    async def send(self, numbers: list[int]) -> None:
        for number in numbers:
            task = self._broker.find_task(TASK)
            await task.kiq(number, time.time())


async def send(stack: AsyncExitStack, url: str, note: Callable[[int, float], None]) -> Sender:
    broker = _broker(url, note)
    await broker.startup()
    stack.push_async_callback(broker.shutdown)
    return Sender(broker)


async def work(stack: AsyncExitStack, url: str, note: Callable[[int, float], None], slots: int) -> None:
    broker = _broker(url, note)
    broker.is_worker_process = True
    await broker.startup()
    stack.push_async_callback(broker.shutdown)
    receiver, end = Receiver(broker, max_async_tasks=slots, run_startup=False), asyncio.Event()
    listening = asyncio.create_task(receiver.listen(end))

    async def stop() -> None:
        end.set()
        await asyncio.wait([listening], timeout=5)

    stack.push_async_callback(stop)


def _broker(url: str, note: Callable[[int, float], None]) -> RedisStreamBroker:
    broker = RedisStreamBroker(url)

    async def noted(number: int, enqueued_at: float) -> None:
        note(number, enqueued_at)

    broker.register_task(noted, TASK)
    return broker
