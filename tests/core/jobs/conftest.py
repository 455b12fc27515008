"""A database, and workers for it that a test starts."""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, Protocol

import pytest

from doable import runtime
from doable.core.db import Database
from doable.core.hub import LocalHub
from doable.core.jobs import Job, Tools
from doable.core.jobs.bell import Bell
from doable.core.jobs.presence import Presence
from doable.core.jobs.worker import Worker
from doable.core.mail import Mailer
from doable.core.outbound import Outbound
from doable.core.telemetry import Metrics
from doable.settings import Settings


class Hire(Protocol):
    def __call__(
        self,
        *jobs: Job[Any],
        bell: Bell | None = None,
        metrics: Metrics | None = None,
        presence: Presence | None = None,
    ) -> AbstractAsyncContextManager[Worker]: ...


@pytest.fixture
async def db(settings: Settings) -> AsyncIterator[Database]:
    database = runtime.open_database(settings)
    yield database
    await database.close()


@pytest.fixture
def worker(settings: Settings, db: Database) -> Hire:
    """A started worker for these kinds of jobs; it hears what this process enqueues."""

    @asynccontextmanager
    async def hire(
        *jobs: Job[Any], bell: Bell | None = None, metrics: Metrics | None = None, presence: Presence | None = None
    ) -> AsyncIterator[Worker]:
        bell = bell or Bell()
        db.listeners.append(bell.hear)
        tools = Tools(db, settings, Mailer(settings), Outbound(), LocalHub())
        made = Worker(tools, jobs, bell, (metrics or Metrics()).jobs, presence)
        await bell.start()
        await made.start()
        yield made
        await made.close()
        await bell.close()

    return hire


@pytest.fixture
def idle(settings: Settings, db: Database) -> Hire:
    """The same, not started: it does something when it is told to `drain()`."""

    @asynccontextmanager
    async def hire(
        *jobs: Job[Any], bell: Bell | None = None, metrics: Metrics | None = None, presence: Presence | None = None
    ) -> AsyncIterator[Worker]:
        tools = Tools(db, settings, Mailer(settings), Outbound(), LocalHub())
        yield Worker(tools, jobs, bell or Bell(), (metrics or Metrics()).jobs, presence)

    return hire
