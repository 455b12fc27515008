"""What a process holds open while it works: the only place that chooses SQLite or PostgreSQL, local or Redis."""

import asyncio
import os
import tempfile
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, fields
from datetime import timedelta
from ipaddress import ip_network
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from sqlalchemy import make_url

from doable import features
from doable.accounts.access import Actor
from doable.accounts.endings import Endings
from doable.accounts.last_used import LastUsed
from doable.accounts.principals import Principals
from doable.core import failpoints, following, housekeeping, ids, redis
from doable.core.claims import Claims
from doable.core.db import Database, Reaction
from doable.core.executors.executor import Executor
from doable.core.executors.postgres.native import Postgres
from doable.core.executors.postgres.reference import open_reference as open_postgres_reference
from doable.core.executors.sqlite.native import Sqlite
from doable.core.executors.sqlite.reference import open_reference as open_sqlite_reference
from doable.core.hub import LocalHub
from doable.core.hub_postgres import PostgresHub
from doable.core.hub_redis import RedisHub
from doable.core.instance import EPOCH, EpochWatch
from doable.core.jobs import Job, Tools, bell
from doable.core.jobs.bell import Bell
from doable.core.jobs.presence import FilePresence, PostgresPresence, Presence
from doable.core.jobs.worker import Worker
from doable.core.limits import Limiter
from doable.core.mail import Mailer
from doable.core.outbound import Outbound
from doable.core.pages import Cursors
from doable.core.passwords import Hasher
from doable.core.streams import FollowedRaised
from doable.core.tables import metadata
from doable.core.telemetry import LagSampler, Lifecycle, Metrics
from doable.core.tokens import AccessTokens, RefreshTokens
from doable.core.watcher import Watcher
from doable.realtime.connections import ConnectionManager
from doable.settings import Settings

if TYPE_CHECKING:
    from redis.asyncio import Redis


@dataclass(frozen=True, slots=True, kw_only=True)
class Runtime:
    settings: Settings
    db: Database
    epoch: str
    cursors: Cursors
    limiter: Limiter
    hasher: Hasher
    outbound: Outbound
    worker: Worker
    access_tokens: AccessTokens
    refresh_tokens: RefreshTokens
    last_used: LastUsed
    claims: Claims
    hub: LocalHub
    endings: Endings
    principals: Principals[Actor]
    rooms: ConnectionManager
    lifecycle: Lifecycle
    metrics: Metrics

    def state(self) -> dict[str, object]:
        """What requests find under `request.state`."""
        return {field.name: getattr(self, field.name) for field in fields(self)}


@asynccontextmanager
async def open_runtime(
    settings: Settings, metrics: Metrics | None = None, *, working: bool = False, serving: bool = True
) -> AsyncIterator[Runtime]:
    """Open everything that a process needs, in order; close it in reverse. The schema has to be migrated.

    `working`: whether this process does the background work. `serving`: whether people are connected to it.
    """
    failpoints.load(os.environ.get("DOABLE_FAILPOINTS", ""))
    metrics = metrics or Metrics()
    key = (await asyncio.to_thread(secret_key, settings)).encode()
    async with AsyncExitStack() as stack:
        tools, epoch = await _tools(stack, settings)
        db = tools.db
        metrics.watch_pool(db.pool_status)
        await _start(stack, LagSampler(metrics))
        lifecycle = Lifecycle()
        lifecycle.on_drain((await _start(stack, EpochWatch(db.reads, epoch))).leave)
        hub, endings, rooms = await _open_rooms(stack, tools.hub, db, epoch, lifecycle)
        opened = Runtime(
            settings=settings,
            db=db,
            epoch=epoch,
            cursors=Cursors(key),
            limiter=await _start(stack, Limiter(_redis(stack, settings), keys=redis.keys_of(epoch))),
            hasher=_hasher(stack),
            outbound=tools.outbound,
            worker=await _worker(stack, tools, epoch, metrics, all_jobs() if serving else _anybodys_jobs(settings)),
            access_tokens=_access_tokens(settings, key),
            refresh_tokens=RefreshTokens(key, _previous_key(settings)),
            last_used=await _start(stack, LastUsed(db)),
            claims=Claims(key, _previous_key(settings)),
            hub=hub,
            endings=endings,
            principals=Principals(endings),
            rooms=rooms,
            lifecycle=lifecycle,
            metrics=metrics,
        )
        await _set_to_work(stack, tools, opened, working=working, serving=serving)
        yield opened


def _access_tokens(settings: Settings, key: bytes) -> AccessTokens:
    lifetime = timedelta(minutes=settings.access_token_expire_minutes)
    return AccessTokens(key, _previous_key(settings), issuer="doable", lifetime=lifetime)


def _previous_key(settings: Settings) -> bytes | None:
    previous = settings.secret_key_previous
    return previous.get_secret_value().encode() if previous else None


def _hasher(stack: AsyncExitStack) -> Hasher:
    hasher = Hasher()
    stack.callback(hasher.close)
    return hasher


def _hub(stack: AsyncExitStack, settings: Settings, epoch: str) -> LocalHub:
    if (client := _redis(stack, settings)) is not None:
        return RedisHub(client, epoch)
    return PostgresHub(settings.database) if _reaches_others(settings) else LocalHub()


def _reaches_others(settings: Settings) -> bool:
    """Whether what a process says is heard by those whom other processes serve."""
    return settings.redis_url is not None or not settings.embedded


async def _open_rooms(
    stack: AsyncExitStack, hub: LocalHub, db: Database, epoch: str, lifecycle: Lifecycle
) -> tuple[LocalHub, Endings, ConnectionManager]:
    db.listeners.append(hub.announce)
    hub.on_moved(db.turns.hear)
    watcher = Watcher(db.reads, hub)
    endings = await _start(stack, Endings(db, watcher))
    await _start(stack, watcher)
    rooms = await _start(stack, ConnectionManager(db, epoch, hub, watcher, endings, lifecycle))
    return await _start(stack, hub), endings, rooms


class _Service(Protocol):
    async def start(self) -> None: ...
    async def close(self) -> None: ...


async def _start[S: _Service](stack: AsyncExitStack, service: S) -> S:
    await service.start()
    stack.push_async_callback(service.close)
    return service


async def _tools(stack: AsyncExitStack, settings: Settings) -> tuple[Tools, str]:
    db = open_database(settings)
    stack.push_async_callback(db.close)
    epoch = (await db.reads.one(EPOCH)).epoch
    outbound = Outbound([ip_network(network) for network in settings.outbound_networks])
    return Tools(db, settings, Mailer(settings), outbound, _hub(stack, settings, epoch)), epoch


async def _worker(stack: AsyncExitStack, tools: Tools, epoch: str, metrics: Metrics, jobs: list[Job[Any]]) -> Worker:
    ear = _redis(stack, tools.settings, timeout=bell.LISTEN_SECONDS + bell.CALL_SECONDS)
    rung = await _start(stack, Bell(_redis(stack, tools.settings), ear, keys=redis.keys_of(epoch)))
    tools.db.listeners.append(rung.hear)
    return Worker(tools, jobs, rung, metrics.jobs, presence_in(tools.db, tools.settings))


def presence_in(db: Database, settings: Settings) -> Presence:
    """How other processes see that this one's worker is alive."""
    if settings.embedded:
        return FilePresence(sqlite_file(settings))
    return PostgresPresence(settings.database, db.reads)


def sqlite_file(settings: Settings) -> Path:
    """Of an embedded database. Who comes by a link finds the same one, and what is beside it."""
    return Path(make_url(settings.database).database or "").resolve()


def all_jobs() -> list[Job[Any]]:
    """Every kind of job that there is."""
    jobs: list[Job[Any]] = [*housekeeping.JOBS]
    for feature in features.FEATURES:
        jobs += feature.jobs
    return jobs


async def _set_to_work(stack: AsyncExitStack, tools: Tools, opened: Runtime, *, working: bool, serving: bool) -> None:
    if working:
        await _start(stack, opened.worker)
    elif serving and (own := [job for job in all_jobs() if job not in _anybodys_jobs(opened.settings)]):
        await _start(stack, await _worker(stack, tools, opened.epoch, opened.metrics, own))


def _anybodys_jobs(settings: Settings) -> list[Job[Any]]:
    """Not what is to be said where nobody but the process that serves is heard: it does that in any case."""
    return [job for job in all_jobs() if _reaches_others(settings) or not job.says]


def _redis(stack: AsyncExitStack, settings: Settings, timeout: float = redis.TIMEOUT) -> "Redis | None":
    if settings.redis_url is None:
        return None
    client = redis.connect(settings.redis_url.get_secret_value(), timeout)
    stack.push_async_callback(client.aclose)
    return client


def open_database(settings: Settings) -> Database:
    return Database(_executor(settings), _reactions())


def _executor(settings: Settings) -> Executor:
    native = settings.executor == "native"
    if settings.embedded:
        return (Sqlite if native else open_sqlite_reference)(
            settings.database,
            metadata,
            synchronous=settings.sqlite_synchronous,
            pool_size=settings.database_pool_size,
            recycle=settings.database_pool_recycle,
        )
    return (Postgres if native else open_postgres_reference)(
        settings.database,
        pool_size=settings.database_pool_size,
        max_overflow=settings.database_max_overflow,
        recycle=settings.database_pool_recycle,
    )


def _reactions() -> Mapping[type, list[Reaction]]:
    table: dict[type, list[Reaction]] = {FollowedRaised: [following.enqueue]}
    for feature in features.FEATURES:
        for fact, reaction in feature.reactions.items():
            table.setdefault(fact, []).append(reaction)
    return table


def secret_key(settings: Settings) -> str:
    """The key from the settings, or the one that `DATA_DIR` keeps, made on first use and readable by its owner only."""
    if settings.secret_key:
        return settings.secret_key.get_secret_value()
    path = settings.data_dir / "secret_key"
    if not path.exists():
        settings.data_dir.mkdir(parents=True, exist_ok=True)
        _make_secret(path)
    return path.read_text().strip()


def _make_secret(path: Path) -> None:
    # Complete before it has its name: another process may be reading, or making one as well.
    handle, made = tempfile.mkstemp(prefix="secret_key.", dir=path.parent)  # mode 0600
    with os.fdopen(handle, "w") as file:
        file.write(ids.new_secret().hex())
    with suppress(FileExistsError):  # another process was first: its key counts
        path.hardlink_to(made)
    Path(made).unlink()
