"""Processes that are killed, frozen or told to go while people write."""

import asyncio
import os
import random
import signal
import sqlite3
import time
from contextlib import closing, suppress

import pytest

from doable.core.faults import Unavailable
from tests.support import herd, systems
from tests.support.attacks import Row
from tests.support.systems import System

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]
HELD_OPEN = ";".join(
    f"{point}=sleep:0.01"
    for point in (
        "idempotency.claimed",
        "idempotency.answered",
        "db.before_commit",
        "db.after_commit",
        "jobs.before_finish",
    )
)
"""Every step between which a process may die lasts a moment, so that a kill is likely to meet it."""
GAP = 6.0
"""Seconds without a room: told to wait for one, and for another by a process that leaves; and a busy machine."""


@pytest.mark.parametrize("kills", [3, pytest.param(8, marks=pytest.mark.fault)])
async def test_f2_a_process_with_sqlite_is_killed_at_any_moment(one_process: System, row: Row, kills: int) -> None:
    system, chance = one_process, random.Random(row.seed)  # noqa: S311 — no secret
    starts = []
    async with row.attack("F2 kill -9", system) as attack:
        for _ in range(kills):
            await asyncio.sleep(chance.uniform(0.2, 0.8))
            system.server.process.kill()
            system.server.process.wait()
            began = time.monotonic()
            await system.start(DOABLE_FAILPOINTS=HELD_OPEN)
            starts.append(time.monotonic() - began)
            attack.ledger.move_to(system.base_url)
            await attack.lift()
        attack.note = f"{kills} kills; ready again in {max(starts):.1f} s at most"
    file = system.settings.database.removeprefix("sqlite:///")
    with closing(sqlite3.connect(file)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)


@pytest.mark.fault
@pytest.mark.parametrize("failpoints", [HELD_OPEN], ids=["held open"])
async def test_f1_workers_are_killed_at_any_moment(two_workers: System, row: Row) -> None:
    system, chance = two_workers, random.Random(row.seed)  # noqa: S311 — no secret
    slowest = 0.0
    async with row.attack("F1 kill -9 of a worker", system) as attack:
        for _ in range(8):
            await asyncio.sleep(chance.uniform(0.1, 0.6))
            killed = time.monotonic()
            async with system.another_worker():
                os.kill(chance.choice(system.pids), signal.SIGKILL)
                await attack.lift()
            slowest = max(slowest, time.monotonic() - killed)
        attack.note = f"8 kills; a new worker serves in {slowest:.1f} s at most"


@pytest.mark.fault
async def test_f24_a_worker_that_holds_jobs_is_frozen_and_others_take_them(two_workers: System, row: Row) -> None:
    system = two_workers
    async with row.attack("F24 a worker is frozen", system) as attack:
        attack.slowest = 12.0  # what the frozen worker had accepted waits until it goes on, ten seconds at most
        frozen = system.pids[0]
        os.kill(frozen, signal.SIGSTOP)
        try:
            await asyncio.sleep(3)
            with suppress(Unavailable):  # frozen between two statements it holds rows until the server gives it up
                await system.hasten()
            await asyncio.sleep(2)
        finally:
            os.kill(frozen, signal.SIGCONT)
        await attack.lift()


@pytest.mark.fault
@pytest.mark.parametrize("failpoints", ["jobs.before_finish=sleep:0.4"], ids=["slow to mark"])
async def test_f23_what_was_done_but_not_marked_is_done_again_under_the_same_id(two_workers: System, row: Row) -> None:
    system = two_workers
    async with row.attack("F23 killed between doing and marking", system) as attack:
        for _ in range(5):
            await asyncio.sleep(1)
            async with system.another_worker():
                os.kill(system.pids[0], signal.SIGKILL)
                await attack.lift()
            await system.hasten()


@pytest.mark.fault
@pytest.mark.parametrize("people", [200])
async def test_f28_workers_are_replaced_one_by_one_and_everybody_comes_back(
    two_workers: System, row: Row, people: int
) -> None:
    system = two_workers
    async with (
        row.attack("F28 rolling restart", system, hooks=False) as attack,
        herd.gathered(system, attack.ledger, people) as crowd,
    ):
        before = set(system.pids)
        failed = len(attack.ledger.attempts)
        system.server.process.send_signal(signal.SIGHUP)
        await systems.wait_until(lambda: system.server.log.count('"worker_replaced"') == 2, 60)
        await systems.wait_until(lambda: not before & set(system.pids))
        await attack.lift()
        assert [one.status for one in attack.ledger.attempts[failed:] if one.status is None or one.status >= 500] == []
        await systems.wait_until(lambda: all(one.there for one in crowd), 60)
        assert {code for one in crowd for code in one.codes} == {1012}
        assert {one.recovered for one in crowd} == {True}
        gap = max(one.gap for one in crowd)
        attack.note = f"{people} sockets, gone for {gap:.1f} s at most; no request failed"
        assert gap < GAP


@pytest.mark.fault
async def test_f29_a_server_that_is_told_to_stop_loses_nothing(one_process: System, row: Row) -> None:
    system = one_process
    async with row.attack("F29 SIGTERM", system) as attack:
        began = time.monotonic()
        code = await asyncio.to_thread(system.server.stop)
        took = time.monotonic() - began
        assert code == 0
        assert took < system.settings.shutdown_grace_seconds
        answered = [one for one in attack.ledger.attempts if one.began < began]
        assert {one.status for one in answered if one.status is None or one.status >= 500} == set()
        await system.start()
        attack.ledger.move_to(system.base_url)
        await attack.lift()
        codes = {code for follower in attack.ledger.followers for code in follower.codes}
        assert codes == {1012}
        attack.note = f"ended in {took:.1f} s with 0"
