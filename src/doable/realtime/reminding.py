"""Reminders that are said in rooms."""

from typing import NamedTuple
from uuid import UUID

import orjson

from doable.accounts.schemas import UserRef
from doable.core import jobs
from doable.core.db import Transaction
from doable.core.jobs import Run, job
from doable.realtime import frames
from doable.todos.reminding import Reminded


class Saying(NamedTuple):
    """A frame for everybody in a list's room."""

    list_id: UUID
    text: str


@job("realtime.say", says=True)
async def say(run: Run, saying: Saying) -> None:
    payload = orjson.dumps({"room": str(saying.list_id), "text": saying.text})
    run.tools.hub.hear_said(payload)
    run.tools.hub.say_seldom(payload)


async def remind(tx: Transaction, fact: Reminded) -> None:
    user = UserRef(id=fact.user_id, username=fact.username)
    text = frames.message(user, {"type": "reminder", **orjson.loads(fact.data)})
    await jobs.enqueue(tx, say, Saying(fact.list_id, text))
