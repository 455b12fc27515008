"""What changes of a list itself: its name and color, whether it is archived, or deleted."""

from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from doable.accounts.access import Actor
from doable.core import changes
from doable.core.changes import Change, Changed, Written
from doable.core.db import Transaction
from doable.core.errors import AppException, Code
from doable.core.queries import Reader
from doable.core.versions import Expected
from doable.lists import access, events, statements
from doable.lists.statements import ListRow

type Find = Callable[[Reader], Awaitable[ListRow]]
type Refuse = Callable[[ListRow], None]


async def update(
    tx: Transaction, actor: Actor, list_id: UUID, wanted: dict[str, object], expected: Expected | None = None
) -> Changed[ListRow]:
    """Apply `name`, `color` and `archived`. Raises `CONFLICT` for an inbox that would be archived."""

    async def find(reader: Reader) -> ListRow:
        return await access.writable(reader, actor, list_id)

    def refuse(row: ListRow) -> None:
        if wanted.get("archived"):
            refuse_inbox(row, "archived")

    return await _change(tx, actor, find, refuse, wanted, expected)


async def delete(tx: Transaction, actor: Actor, list_id: UUID, expected: Expected | None = None) -> Changed[ListRow]:
    """Put a list and its todos away for 30 days; nothing happens to one that is deleted already."""

    async def find(reader: Reader) -> ListRow:
        return await access.owned(reader, actor, list_id)

    def refuse(row: ListRow) -> None:
        refuse_inbox(row, "deleted")

    return await _change(tx, actor, find, refuse, {"deleted": True}, expected)


async def restore(tx: Transaction, actor: Actor, list_id: UUID) -> Changed[ListRow]:
    async def find(reader: Reader) -> ListRow:
        return await access.owned(reader, actor, list_id)

    return await _change(tx, actor, find, None, {"deleted": False})


async def _change(
    tx: Transaction,
    actor: Actor,
    find: Find,
    refuse: Refuse | None,
    wanted: dict[str, object],
    expected: Expected | None = None,
) -> Changed[ListRow]:
    async def write(tx: Transaction, row: ListRow, new: Mapping[str, Any], now: datetime) -> Written[ListRow] | None:
        version = await tx.first(
            statements.update_list(frozenset(new)),
            actor_id=actor.user_id,
            list_id=row.id,
            seen=row.version,
            now=now,
            **{f"new_{field}": value for field, value in new.items()},
        )
        return None if version is None else Written(row._replace(updated_at=now, version=version, **new))

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


def refuse_inbox(row: ListRow, verb: str) -> None:
    if row.is_inbox:
        raise AppException(Code.CONFLICT, f"The inbox cannot be {verb}.")
