"""Actor and list id become a row with the actor's role, or a refusal."""

from collections.abc import Collection
from uuid import UUID

from doable.accounts.access import Actor
from doable.core.errors import AppException, Code, not_found
from doable.core.queries import Reader
from doable.lists import statements
from doable.lists.statements import ListRow, VisibleList

WRITERS = frozenset({"owner", "editor"})
OWNERS = frozenset({"owner"})


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


async def owned(reader: Reader, actor: Actor, list_id: UUID) -> ListRow:
    """A list of the actor's own, perhaps deleted. Raises `NOT_FOUND` and `FORBIDDEN`."""
    row = await _member(reader, actor, list_id)
    require(row.role, OWNERS)
    return row


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
