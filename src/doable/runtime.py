"""What a process holds open while it works: the only place that chooses SQLite or PostgreSQL, local or Redis."""

import asyncio
import os
import tempfile
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, fields
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from doable import features
from doable.accounts.last_used import LastUsed
from doable.accounts.leftovers import Leftovers
from doable.core import failpoints, ids, redis
from doable.core.claims import Claims
from doable.core.db import Database, Reaction
from doable.core.executors.executor import Executor
from doable.core.executors.postgres.native import Postgres
from doable.core.executors.postgres.reference import open_reference as open_postgres_reference
from doable.core.executors.sqlite.native import Sqlite
from doable.core.executors.sqlite.reference import open_reference as open_sqlite_reference
from doable.core.instance import EPOCH
from doable.core.limits import Limiter
from doable.core.mail import Mailer
from doable.core.pages import Cursors
from doable.core.passwords import Hasher
from doable.core.tables import metadata
from doable.core.telemetry import LagSampler, Lifecycle, Metrics
from doable.core.tokens import AccessTokens, RefreshTokens
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
    mailer: Mailer
    access_tokens: AccessTokens
    refresh_tokens: RefreshTokens
    last_used: LastUsed
    claims: Claims
    lifecycle: Lifecycle
    metrics: Metrics

    def state(self) -> dict[str, object]:
        """What requests find under `request.state`."""
        return {field.name: getattr(self, field.name) for field in fields(self)}


@asynccontextmanager
async def open_runtime(settings: Settings, metrics: Metrics | None = None) -> AsyncIterator[Runtime]:
    """Open everything that a process needs, in order; close it in reverse. The schema has to be migrated."""
    failpoints.load(os.environ.get("DOABLE_FAILPOINTS", ""))
    metrics = metrics or Metrics()
    key = (await asyncio.to_thread(secret_key, settings)).encode()
    previous = settings.secret_key_previous
    previous_key = previous.get_secret_value().encode() if previous else None
    lifetime = timedelta(minutes=settings.access_token_expire_minutes)
    async with AsyncExitStack() as stack:
        db = open_database(settings)
        stack.push_async_callback(db.close)
        epoch = (await db.reads.one(EPOCH)).epoch
        metrics.watch_pool(db.pool_status)
        await _start(stack, LagSampler(metrics))
        await _start(stack, Leftovers(db))
        hasher = Hasher()
        stack.callback(hasher.close)
        yield Runtime(
            settings=settings,
            db=db,
            epoch=epoch,
            cursors=Cursors(key),
            limiter=await _start(stack, Limiter(_redis(stack, settings))),
            hasher=hasher,
            mailer=await _start(stack, Mailer(settings)),
            access_tokens=AccessTokens(key, previous_key, issuer="doable", lifetime=lifetime),
            refresh_tokens=RefreshTokens(key, previous_key),
            last_used=await _start(stack, LastUsed(db)),
            claims=await _start(stack, Claims(db)),
            lifecycle=Lifecycle(),
            metrics=metrics,
        )


class _Service(Protocol):
    async def start(self) -> None: ...
    async def close(self) -> None: ...


async def _start[S: _Service](stack: AsyncExitStack, service: S) -> S:
    await service.start()
    stack.push_async_callback(service.close)
    return service


def _redis(stack: AsyncExitStack, settings: Settings) -> "Redis | None":
    if settings.redis_url is None:
        return None
    client = redis.connect(settings.redis_url.get_secret_value())
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
    table: dict[type, list[Reaction]] = {}
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
