"""What may happen to a list. No HTTP here."""

from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from doable.accounts.access import Actor
from doable.accounts.events import UserDeleted, UserRegistered
from doable.core import clock, streams
from doable.core import events as log
from doable.core.db import Transaction, UniqueViolation
from doable.core.errors import AppException, Code, not_found
from doable.lists import access, events, statements
from doable.lists.statements import ListRow

MOST = 1_000
"""Lists that one person may own, the deleted ones of the last 30 days included."""


class Change(NamedTuple):
    """A list after an operation, and the revision that it made, `None` when nothing changed."""

    row: ListRow
    revision: int | None


class Owner(NamedTuple):
    user_id: UUID
    username: str


async def create(tx: Transaction, actor: Actor, list_id: UUID, name: str, color: str | None) -> Change:
    """Raises `ALREADY_EXISTS` for an id that is taken, whoever has it, and `LIMIT_REACHED`."""
    if await tx.one(statements.OWNED, actor_id=actor.user_id) >= MOST:
        raise AppException(Code.LIMIT_REACHED, f"A person may own {MOST} lists at most.")
    return await _insert(tx, Owner(actor.user_id, actor.username), list_id, name, color=color)


async def create_inbox(tx: Transaction, fact: UserRegistered) -> None:
    await _insert(tx, Owner(fact.user_id, fact.username), fact.inbox_id, "Inbox", is_inbox=True)


async def update(tx: Transaction, actor: Actor, list_id: UUID, changes: dict[str, object]) -> Change:
    """Apply `name`, `color` and `archived`."""
    row = await access.visible(tx, actor, list_id)
    return await _change(tx, actor, row, changes)


async def delete(tx: Transaction, actor: Actor, list_id: UUID) -> Change:
    """Put a list and its todos away for 30 days; nothing happens to one that is deleted already."""
    row = await access.with_deleted(tx, actor, list_id)
    access.require(row.role, access.OWNERS)
    _refuse_for_inbox(row, "deleted")
    return await _change(tx, actor, row, {"deleted": True})


async def restore(tx: Transaction, actor: Actor, list_id: UUID) -> Change:
    row = await access.with_deleted(tx, actor, list_id)
    access.require(row.role, access.OWNERS)
    return await _change(tx, actor, row, {"deleted": False})


async def forget_owner(tx: Transaction, fact: UserDeleted) -> None:
    """Delete a leaving person's own lists and memberships. Raises `OWNS_SHARED_LISTS`."""
    if shared := await tx.all(statements.OWNED_AND_SHARED, actor_id=fact.user_id):
        message = "Give these lists to somebody else, or remove their members, first."
        raise AppException(Code.OWNS_SHARED_LISTS, message, {"list_ids": [str(list_id) for list_id in shared]})
    await tx.execute(statements.DELETE_STREAMS_OF_OWNER, actor_id=fact.user_id)
    await tx.execute(statements.DELETE_EVENTS_OF_OWNER, actor_id=fact.user_id)
    await tx.execute(statements.DELETE_LISTS_OF_OWNER, actor_id=fact.user_id)
    await tx.execute(statements.DELETE_MEMBERSHIPS, actor_id=fact.user_id)


async def _insert(
    tx: Transaction, owner: Owner, list_id: UUID, name: str, *, color: str | None = None, is_inbox: bool = False
) -> Change:
    now = clock.now()
    row = ListRow(list_id, name, color, is_inbox, owner.user_id, "owner", None, None, now, now, 1)
    values = row._asdict()
    del values["role"]
    try:
        await tx.execute(statements.INSERT_LIST, **values)
    except UniqueViolation:
        raise AppException(Code.ALREADY_EXISTS, "This id is taken.") from None
    await tx.execute(statements.INSERT_MEMBER, list_id=list_id, user_id=owner.user_id, role="owner", joined_at=now)
    told = events.created(row), events.member_added(owner.user_id, owner.username, "owner", now)
    await streams.open_stream(tx, list_id, len(told))
    await log.append(tx, list_id, len(told), log.operation(owner.user_id, now), *told)
    return Change(row, len(told))


async def _change(tx: Transaction, actor: Actor, row: ListRow, changes: dict[str, object]) -> Change:
    access.require(row.role, access.WRITERS)
    new = _new_values(row, changes, clock.now())
    if not new:
        return Change(row, None)
    if "archived_at" in new:
        _refuse_for_inbox(row, "archived")
    revision = await streams.bump(tx, row.id)
    now = clock.now()  # after the wait for the lock: the log's instants rise with its revisions
    changed = await _write(tx, actor, row, _new_values(row, changes, now), now)
    if changed is None:  # somebody was quicker between our read and our lock: read again, with the lock in hand
        row = await access.with_deleted(tx, actor, row.id)
        new = _new_values(row, changes, now)
        if not new:
            await streams.take_back(tx, row.id)
            return Change(row, None)
        changed = await _write(tx, actor, row, new, now)
    if changed is None:
        raise not_found("list")
    await log.append(tx, row.id, revision, log.operation(actor.user_id, now), events.changed(row, changed))
    return Change(changed, revision)


async def _write(tx: Transaction, actor: Actor, row: ListRow, new: dict[str, Any], now: datetime) -> ListRow | None:
    version = await tx.first(
        statements.update_list(frozenset(new)),
        actor_id=actor.user_id,
        list_id=row.id,
        seen=row.version,
        now=now,
        **{f"new_{field}": value for field, value in new.items()},
    )
    return None if version is None else row._replace(updated_at=now, version=version, **new)


def _new_values(row: ListRow, changes: dict[str, object], now: datetime) -> dict[str, Any]:
    """The columns that would differ; `archived` and `deleted` become instants."""
    wanted = dict(changes)
    for flag in ("archived", "deleted"):
        if flag in wanted:
            since = getattr(row, f"{flag}_at")
            wanted[f"{flag}_at"] = (since or now) if wanted.pop(flag) else None
    return {field: value for field, value in wanted.items() if getattr(row, field) != value}


def _refuse_for_inbox(row: ListRow, verb: str) -> None:
    if row.is_inbox:
        raise AppException(Code.CONFLICT, f"The inbox cannot be {verb}.")
