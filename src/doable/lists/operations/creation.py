"""How a list begins: its owner's from the first moment, with a stream of its own."""

from typing import NamedTuple
from uuid import UUID

from doable.accounts import access as accounts_access
from doable.accounts.access import Actor
from doable.accounts.events import UserRegistered
from doable.core import clock, streams
from doable.core import events as log
from doable.core.changes import Changed
from doable.core.db import Transaction, UniqueViolation
from doable.core.errors import AppException, Code
from doable.lists import events, statements
from doable.lists.events import MemberJoined
from doable.lists.statements import ListRow

MOST = 1_000
"""Lists that one person may own, the deleted ones of the last 30 days included."""


class Owner(NamedTuple):
    user_id: UUID
    username: str


async def create(tx: Transaction, actor: Actor, list_id: UUID, name: str, color: str | None) -> Changed[ListRow]:
    """Raises `ALREADY_EXISTS` for an id that is taken, whoever has it, and `LIMIT_REACHED`."""
    account = await accounts_access.alive(tx, actor)  # locked, so that its deletion and its limit see every list
    await refuse_another(tx, actor.user_id)
    change = await _insert(tx, Owner(actor.user_id, account.username), list_id, name, color=color)
    await tx.tell(MemberJoined(list_id, actor.user_id, 0))
    return change


async def create_inbox(tx: Transaction, fact: UserRegistered) -> None:
    await _insert(tx, Owner(fact.user_id, fact.username), fact.inbox_id, "Inbox", is_inbox=True)


async def refuse_another(tx: Transaction, user_id: UUID) -> None:
    """Raises `LIMIT_REACHED` for a person, whose account is locked, who owns as many lists as one may."""
    if await tx.one(statements.OWNED, actor_id=user_id) >= MOST:
        raise AppException(Code.LIMIT_REACHED, f"A person may own {MOST} lists at most.")


async def _insert(
    tx: Transaction, owner: Owner, list_id: UUID, name: str, *, color: str | None = None, is_inbox: bool = False
) -> Changed[ListRow]:
    theirs = await streams.bump(tx, owner.user_id)
    now = clock.now()
    row = ListRow(list_id, name, color, is_inbox, owner.user_id, "owner", None, None, now, now, 1)
    told = events.created(row), events.member_added(owner.user_id, owner.username, "owner", now)
    cause = log.operation(owner.user_id, now)
    values = row._asdict()
    del values["role"]
    try:
        await tx.execute(statements.INSERT_LIST, **values)
        await streams.open_stream(tx, list_id, len(told))  # people have streams too: the id may be one of theirs
    except UniqueViolation:
        raise AppException(Code.ALREADY_EXISTS, "This id is taken.") from None
    await tx.execute(statements.INSERT_MEMBER, list_id=list_id, user_id=owner.user_id, role="owner", joined_at=now)
    await log.append(tx, list_id, len(told), cause, *told)
    await log.append(tx, owner.user_id, theirs, cause, events.joined(list_id, "owner"))
    return Changed(row, len(told))
