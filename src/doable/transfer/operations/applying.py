"""A part of a file comes in, once: the transaction that writes it says that it is in."""

from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID, uuid5

import orjson

from doable.accounts.access import Actor
from doable.accounts.statements import users
from doable.core import clock, failpoints
from doable.core.db import SerializationFailure, Transaction
from doable.transfer import statements
from doable.transfer.operations import arrival
from doable.transfer.operations.arrival import Outcome
from doable.transfer.schemas import FORMAT
from doable.transfer.statements import ImportRow, PartRow

MOST_ERRORS = 100
REFERENCES = ("id", "list_id", "parent_id")


class _Status(NamedTuple):
    name: str
    finished_at: datetime | None


async def apply(tx: Transaction, import_id: UUID, number: int) -> bool:
    """Whether there is more to apply. Nothing happens when this part is in already."""
    row = await tx.first(statements.ANY_IMPORT, import_id=import_id)
    if row is None or row.finished_at is not None or row.applied != number:
        return False
    part = await tx.first(statements.PART, import_id=import_id, number=number)
    actor = await _actor(tx, row.user_id)
    if actor is None:
        await fail(tx, import_id)
        return False
    outcome = Outcome() if part is None else await _write(tx, actor, row, part)
    await failpoints.reach("transfer.part_written")
    return await _advance(tx, row, outcome)


async def fail(tx: Transaction, import_id: UUID) -> None:
    """It will not be tried again; what is in stays."""
    await tx.execute(statements.FAIL, import_id=import_id, finished=clock.now())
    await tx.execute(statements.DELETE_PARTS, import_id=import_id)


async def _write(tx: Transaction, actor: Actor, row: ImportRow, part: PartRow) -> Outcome:
    elements: list[dict[str, Any]] = orjson.loads(part.elements)
    if row.source != FORMAT and row.digest is not None:
        elements = [_named(element, row.digest) for element in elements]
    return await arrival.KINDS[part.kind](tx, actor, row.inbox_id, elements)


def _named(element: dict[str, Any], digest: bytes) -> dict[str, Any]:
    """A file without ids is told by its digest: the same rows of the same file have the same ids."""
    names = {
        name: str(uuid5(UUID(bytes=digest[:16]), str(element[name])))
        for name in REFERENCES
        if element.get(name) is not None
    }
    return {**element, **names}


async def _advance(tx: Transaction, row: ImportRow, outcome: Outcome) -> bool:
    more = row.applied + 1 < row.parts
    status = _Status("running", None) if more else _Status("done", clock.now())
    errors = [*orjson.loads(row.errors), *outcome.errors][:MOST_ERRORS]
    changed = await tx.execute(
        statements.ADVANCE,
        import_id=row.id,
        number=row.applied,
        new_status=status.name,
        finished=status.finished_at,
        new_inbox_id=outcome.inbox_id or row.inbox_id,
        more_created=outcome.created,
        more_present=outcome.present,
        more_refused=outcome.refused,
        new_errors=orjson.dumps(errors).decode(),
    )
    if not changed:
        raise SerializationFailure("another worker has applied it meanwhile")
    await tx.execute(statements.DELETE_PART, import_id=row.id, number=row.applied)
    return more


async def _actor(tx: Transaction, user_id: UUID) -> Actor | None:
    """Who sent the file, unless the account is disabled or deleted."""
    user = await tx.first(users.USER, user_id=user_id)
    if user is None or user.disabled_at is not None:
        return None
    return Actor(
        user_id=user.id,
        username=user.username,
        is_admin=user.is_admin,
        timezone=user.timezone,
        inbox_id=user.inbox_id,
        session_id=None,
        token_id=None,
        scopes=None,
    )
