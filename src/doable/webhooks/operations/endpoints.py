"""Webhooks are made, changed and deleted; the reactions to what happens to their makers."""

from typing import Any, NamedTuple
from uuid import UUID

import orjson

from doable.accounts import access as accounts_access
from doable.accounts.access import Actor
from doable.accounts.events import UserDeleted
from doable.core import clock, housekeeping, ids, jobs, streams
from doable.core.db import Database, Transaction, UniqueViolation
from doable.core.errors import AppException, Code
from doable.core.jobs import PURGES, Run, job
from doable.lists import access as lists_access
from doable.lists.events import MemberJoined
from doable.lists.statements import membership
from doable.webhooks import access, statements
from doable.webhooks.operations import sending
from doable.webhooks.statements import WebhookRow
from doable.webhooks.tables import ACTIVE

MOST = 20
"""Webhooks of one list, and of one person for all his lists."""


class New(NamedTuple):
    id: UUID
    list_id: UUID | None
    url: str
    kinds: list[str] | None


async def create(tx: Transaction, actor: Actor, new: New) -> tuple[WebhookRow, bytes]:
    """The webhook and its secret, for what happens from now on. Raises `ALREADY_EXISTS` and `LIMIT_REACHED`."""
    if new.list_id is not None:
        await lists_access.managed(tx.ahead, actor, new.list_id)
    await accounts_access.alive(tx, actor)  # locked, so that no list is joined meanwhile
    await streams.follow(tx, await _lock(tx, actor, new.list_id))
    await _refuse_another(tx, actor, new.list_id)
    secret, now = ids.new_secret(), clock.now()
    try:
        await tx.execute(
            statements.INSERT,
            **{**new._asdict(), "kinds": _written(new.kinds)},
            user_id=actor.user_id,
            secret=secret,
            status=ACTIVE,
            created_at=now,
            updated_at=now,
        )
    except UniqueViolation:
        raise AppException(Code.ALREADY_EXISTS, "This id is taken.") from None
    return WebhookRow(new.id, new.list_id, new.url, _written(new.kinds), ACTIVE, now, now, "owner"), secret


async def update(tx: Transaction, actor: Actor, webhook_id: UUID, changes: dict[str, Any]) -> WebhookRow:
    row = await access.managed(tx.ahead, actor, webhook_id)
    if "kinds" in changes:
        changes = {**changes, "kinds": _written(changes["kinds"])}
    new = {field: value for field, value in changes.items() if value != getattr(row, field)}
    if new:
        given = {f"new_{field}": value for field, value in new.items()}
        statement = statements.update_webhook(frozenset(new))
        await tx.execute(statement, actor_id=actor.user_id, webhook_id=webhook_id, now=clock.now(), **given)
        row = await access.managed(tx, actor, webhook_id)
    if new.get("status") == ACTIVE:
        await sending.enqueue(tx, webhook_id)  # what waited
    return row


async def delete(tx: Transaction, actor: Actor, webhook_id: UUID) -> None:
    await access.managed(tx.ahead, actor, webhook_id)
    await tx.execute(statements.DELETE, actor_id=actor.user_id, webhook_id=webhook_id)


async def renew(tx: Transaction, actor: Actor, webhook_id: UUID) -> tuple[WebhookRow, bytes]:
    """A new secret. What is sent is signed with the old one as well for a day."""
    await access.managed(tx.ahead, actor, webhook_id)
    secret = ids.new_secret()
    await tx.execute(
        statements.RENEW, actor_id=actor.user_id, webhook_id=webhook_id, new_secret=secret, now=clock.now()
    )
    return await access.managed(tx, actor, webhook_id), secret


async def follow_joined(tx: Transaction, fact: MemberJoined) -> None:
    """A list that somebody is in from now on is one of those that his webhooks are told about."""
    if await tx.one(statements.OF_PERSON, user_id=fact.user_id):
        await streams.follow(tx, {fact.list_id: fact.revision})


async def forget(tx: Transaction, fact: UserDeleted) -> None:
    """Nothing more is sent; a job forgets what was, which may be more than one transaction can delete."""
    await tx.execute(statements.DISABLE_OF_PERSON, person_id=fact.user_id, now=clock.now())
    await jobs.enqueue(tx, purge, fact.user_id)


@job("webhooks.purge", queue=PURGES, limit=300.0)
async def purge(run: Run, user_id: UUID) -> None:
    await purge_of(run.tools.db, user_id)


async def purge_of(db: Database, user_id: UUID) -> None:
    """All of somebody who has left, in turns."""
    await housekeeping.in_turns(db, statements.FORGET_DELIVERIES, person_id=user_id)
    async with db.transaction() as tx:
        await tx.execute(statements.DELETE_OF_PERSON, person_id=user_id)


async def _lock(tx: Transaction, actor: Actor, list_id: UUID | None) -> dict[UUID, int]:
    """What it is about, with the revisions after which it is told: one list, or all that the actor is in."""
    if list_id is None:
        rows = await tx.all(membership.MEMBERSHIPS, actor_id=actor.user_id)
        return await streams.lock(tx, [row.list_id for row in rows])
    locked = await streams.lock(tx, [list_id])
    await lists_access.managed(tx, actor, list_id)
    return locked


async def _refuse_another(tx: Transaction, actor: Actor, list_id: UUID | None) -> None:
    if list_id is None:
        there = await tx.one(statements.OF_PERSON, user_id=actor.user_id)
    else:
        there = await tx.one(statements.IN_LIST, list_id=list_id)
    if there >= MOST:
        raise AppException(Code.LIMIT_REACHED, f"A list, and a person, may have {MOST} webhooks at most.")


def _written(kinds: list[str] | None) -> str | None:
    return None if kinds is None else orjson.dumps(sorted(set(kinds))).decode()
