"""Actor and list id become a row with the actor's role, or a refusal."""

from collections.abc import Collection
from typing import NamedTuple
from uuid import UUID

from doable.accounts.access import Actor
from doable.accounts.statements import users
from doable.core import tokens
from doable.core.db import Transaction
from doable.core.errors import AppException, Code, not_found
from doable.core.mailboxes import mailbox
from doable.core.queries import Reader
from doable.lists import statements
from doable.lists.statements import Home, ListRow, VisibleList, invitations, membership
from doable.lists.statements.invitations import InvitationRow
from doable.lists.statements.membership import MemberRow

WRITERS = frozenset({"owner", "editor"})
OWNERS = frozenset({"owner"})


class Choice(NamedTuple):
    """Which invitation: by the secret that was sent with it, or by its id."""

    token: str | None = None
    id: UUID | None = None


async def visible(reader: Reader, actor: Actor, list_id: UUID) -> ListRow:
    """Raises `NOT_FOUND`, for deleted lists too."""
    row = await _member(reader, actor, list_id)
    if row.deleted_at is not None:
        raise not_found("list")
    return row


async def writable(reader: Reader, actor: Actor, list_id: UUID) -> ListRow:
    """Raises `NOT_FOUND` and `FORBIDDEN`."""
    row = await visible(reader, actor, list_id)
    require(row.role, WRITERS)
    return row


async def home(reader: Reader, actor: Actor, list_id: UUID) -> Home:
    """A list to write in, as `writable`, and the revision at which it is so. Raises `NOT_FOUND` and `FORBIDDEN`."""
    row = await reader.first(statements.HOME, actor_id=actor.user_id, list_id=list_id)
    if row is None:
        raise not_found("list")
    require(row.role, WRITERS)
    return row


def remembered_home(tx: Transaction, actor: Actor, list_id: UUID) -> Home | None:
    """What `home` would say if nothing has changed since the actor wrote there; `None` where he has not."""
    standing = tx.turns.recall(list_id, actor.user_id)
    return None if standing is None else Home(list_id, standing.role, standing.revision, None)


async def managed(reader: Reader, actor: Actor, list_id: UUID) -> ListRow:
    """A list of the actor's own. Raises `NOT_FOUND` and `FORBIDDEN`."""
    row = await visible(reader, actor, list_id)
    require(row.role, OWNERS)
    return row


async def owned(reader: Reader, actor: Actor, list_id: UUID) -> ListRow:
    """A list of the actor's own, perhaps deleted: then only its owner knows it. Raises `NOT_FOUND` and `FORBIDDEN`."""
    row = await _member(reader, actor, list_id)
    if row.deleted_at is not None and row.role not in OWNERS:
        raise not_found("list")
    require(row.role, OWNERS)
    return row


async def member(reader: Reader, actor: Actor, list_id: UUID, user_id: UUID) -> MemberRow:
    """A member of a list that the actor sees. Raises `NOT_FOUND`."""
    row = await reader.first(membership.MEMBER, actor_id=actor.user_id, list_id=list_id, user_id=user_id)
    if row is None:
        await visible(reader, actor, list_id)
        raise not_found("member")
    return row


async def invitation(reader: Reader, actor: Actor, choice: Choice) -> InvitationRow:
    """An invitation that the actor holds, or that is to an address of his. Raises `NOT_FOUND`."""
    if choice.token is not None:
        row = await reader.first(invitations.BY_TOKEN, digest=tokens.digest(choice.token))
    else:
        box = await proved_mailbox(reader, actor)
        row = await reader.first(invitations.TO_MAILBOX, invitation_id=choice.id, mailbox=box)
    if row is None:
        raise not_found("invitation")
    return row


async def proved_mailbox(reader: Reader, actor: Actor) -> str:
    """The one that the actor is known to read; empty, which nobody's is, if there is none."""
    account = await reader.first(users.ACCOUNT, user_id=actor.user_id)
    return mailbox(account.email) if account is not None and account.email_verified_at is not None else ""


async def all_visible(reader: Reader, actor: Actor, list_ids: Collection[UUID]) -> list[VisibleList]:
    """The lists with these ids. Raises `NOT_FOUND` unless the actor sees every one."""
    rows = await reader.all(statements.VISIBLE, actor_id=actor.user_id, list_ids=list(list_ids))
    if len(rows) != len(set(list_ids)):
        raise not_found("list")
    return rows


def require(role: str, allowed: frozenset[str]) -> None:
    """Raises `FORBIDDEN`: what a member sees but may not do."""
    if role not in allowed:
        raise AppException(Code.FORBIDDEN, f"Your role in this list ({role}) does not allow this.")


async def _member(reader: Reader, actor: Actor, list_id: UUID) -> ListRow:
    row = await reader.first(statements.LIST, actor_id=actor.user_id, list_id=list_id)
    if row is None:
        raise not_found("list")
    return row
