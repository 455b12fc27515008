"""What may happen to a list. No HTTP here."""

from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from doable.accounts import access as accounts_access
from doable.accounts.access import Actor
from doable.accounts.events import UserDeleted, UserRegistered
from doable.core import changes, clock, streams
from doable.core import events as log
from doable.core.changes import Change, Changed
from doable.core.db import Transaction, UniqueViolation
from doable.core.errors import AppException, Code
from doable.core.queries import Reader
from doable.core.versions import Expected
from doable.lists import access, events, statements
from doable.lists.statements import ListRow

MOST = 1_000
"""Lists that one person may own, the deleted ones of the last 30 days included."""

type Find = Callable[[Reader], Awaitable[ListRow]]
type Refuse = Callable[[ListRow], None]


class Owner(NamedTuple):
    user_id: UUID
    username: str


async def create(tx: Transaction, actor: Actor, list_id: UUID, name: str, color: str | None) -> Changed[ListRow]:
    """Raises `ALREADY_EXISTS` for an id that is taken, whoever has it, and `LIMIT_REACHED`."""
    await accounts_access.alive(tx, actor)  # locked, so that its deletion and its limit see every list
    if await tx.one(statements.OWNED, actor_id=actor.user_id) >= MOST:
        raise AppException(Code.LIMIT_REACHED, f"A person may own {MOST} lists at most.")
    return await _insert(tx, Owner(actor.user_id, actor.username), list_id, name, color=color)


async def create_inbox(tx: Transaction, fact: UserRegistered) -> None:
    await _insert(tx, Owner(fact.user_id, fact.username), fact.inbox_id, "Inbox", is_inbox=True)


async def update(
    tx: Transaction, actor: Actor, list_id: UUID, wanted: dict[str, object], expected: Expected | None = None
) -> Changed[ListRow]:
    """Apply `name`, `color` and `archived`. Raises `CONFLICT` for an inbox that would be archived."""

    async def find(reader: Reader) -> ListRow:
        return await access.writable(reader, actor, list_id)

    def refuse(row: ListRow) -> None:
        if wanted.get("archived"):
            _refuse_inbox(row, "archived")

    return await _change(tx, actor, find, refuse, wanted, expected)


async def delete(tx: Transaction, actor: Actor, list_id: UUID, expected: Expected | None = None) -> Changed[ListRow]:
    """Put a list and its todos away for 30 days; nothing happens to one that is deleted already."""

    async def find(reader: Reader) -> ListRow:
        return await access.owned(reader, actor, list_id)

    def refuse(row: ListRow) -> None:
        _refuse_inbox(row, "deleted")

    return await _change(tx, actor, find, refuse, {"deleted": True}, expected)


async def restore(tx: Transaction, actor: Actor, list_id: UUID) -> Changed[ListRow]:
    async def find(reader: Reader) -> ListRow:
        return await access.owned(reader, actor, list_id)

    return await _change(tx, actor, find, None, {"deleted": False})


async def purge(tx: Transaction, list_id: UUID, before: datetime) -> None:
    """Delete for good what was deleted before that. Nobody is told: its members have not seen it since."""
    if not await streams.lock(tx, list_id):
        return
    if await tx.execute(statements.PURGE_LIST, list_id=list_id, before=before):  # and it was not restored meanwhile
        await log.forget(tx, list_id)
        await streams.close_stream(tx, list_id)


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
) -> Changed[ListRow]:
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
    return Changed(row, len(told))


async def _change(
    tx: Transaction,
    actor: Actor,
    find: Find,
    refuse: Refuse | None,
    wanted: dict[str, object],
    expected: Expected | None = None,
) -> Changed[ListRow]:
    async def write(tx: Transaction, row: ListRow, new: Mapping[str, Any], now: datetime) -> ListRow | None:
        version = await tx.first(
            statements.update_list(frozenset(new)),
            actor_id=actor.user_id,
            list_id=row.id,
            seen=row.version,
            now=now,
            **{f"new_{field}": value for field, value in new.items()},
        )
        return None if version is None else row._replace(updated_at=now, version=version, **new)

    def differences(row: ListRow, now: datetime) -> dict[str, Any]:
        new = changes.instants(row, wanted, now, "archived", "deleted")
        return {field: value for field, value in new.items() if getattr(row, field) != value}

    change = Change(
        find=find,
        shows=lambda row: (row.version, row.role),
        refuse=refuse,
        stream=lambda row: row.id,
        differences=differences,
        write=write,
        event=events.changed,
        actor_id=actor.user_id,
        expected=expected,
    )
    return await changes.apply(tx, change)


def _refuse_inbox(row: ListRow, verb: str) -> None:
    if row.is_inbox:
        raise AppException(Code.CONFLICT, f"The inbox cannot be {verb}.")
