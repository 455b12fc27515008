"""Channels: whoever serves one says so, and is asked by those who have chosen it."""

from uuid import UUID

import pytest
from fastapi import APIRouter

from doable import features
from doable.core import jobs
from doable.core.db import Transaction
from doable.core.features import Feature
from doable.core.jobs import Run, job
from doable.settings import Settings
from doable.todos import reminding
from doable.todos.reminding import Channel, Reminded
from tests.support import asgi
from tests.support.jobs import work
from tests.support.people import Person
from tests.support.receivers import skip_ahead

pushed: list[tuple[UUID, int]] = []


@job("test.push")
async def push(run: Run, user_id: UUID) -> None:
    pushed.append((user_id, run.attempt))
    if run.attempt == 1:
        raise ConnectionError


async def remind(tx: Transaction, fact: Reminded) -> None:
    await jobs.enqueue(tx, push, fact.user_id)


@pytest.fixture
def settings(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Of a server that can push."""
    pushes = Feature("pushes", APIRouter(), {Reminded: Channel("push", remind)}, jobs=(push,))
    monkeypatch.setattr(features, "FEATURES", (*features.FEATURES, pushes))
    monkeypatch.setattr(reminding, "CHANNELS", (*reminding.CHANNELS, "push"))
    pushed.clear()
    return settings


async def test_another_channel_is_a_name_and_a_reaction(running: asgi.Running, ana: Person) -> None:
    todo = await ana.todo(due={"date": "2090-11-27"})
    for channels in (["push"], ["room"], ["push", "webhook"], ["room", "webhook"]):
        made = await ana.post(f"/todos/{todo['id']}/reminders", {"offset_minutes": 0, "channels": channels})
        assert made.status_code == 201, made.text
    for _ in range(3):
        await skip_ahead(running)
        await work(running)
    me = UUID(ana.user["id"])
    assert sorted(pushed) == [(me, 1), (me, 1), (me, 2), (me, 2)], "and tried again when it fails"


def test_each_channel_is_served_by_one_feature() -> None:
    served = [feature.reactions[Reminded] for feature in features.FEATURES if Reminded in feature.reactions]
    assert sorted(channel.name for channel in served if isinstance(channel, Channel)) == sorted(reminding.CHANNELS)
    assert len(served) == len(reminding.CHANNELS)
