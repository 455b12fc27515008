"""Rows as the wire shows them, in answers and in events alike."""

from datetime import datetime
from uuid import UUID

import orjson

from doable.accounts.schemas import UserRef
from doable.core import clock
from doable.core.events import EventRow
from doable.lists.schemas import ListResponse, MemberResponse
from doable.lists.statements import ListRow


def shown(row: ListRow) -> ListResponse:
    return ListResponse.model_validate(row)


def member(user_id: UUID, username: str, role: str, joined_at: datetime) -> MemberResponse:
    return MemberResponse(user=UserRef(id=user_id, username=username), role=role, joined_at=joined_at)


def event(row: EventRow) -> orjson.Fragment:
    """An event of a list as JSON, for `orjson.dumps`; its data go in as they are stored."""
    whole = {
        "list_id": row.stream_id,
        "revision": row.revision,
        "operation_id": row.operation_id,
        "at": clock.iso(row.at),
        "actor_id": row.actor_id,
        "kind": row.kind,
        "data": orjson.Fragment(row.data),
    }
    return orjson.Fragment(orjson.dumps(whole, default=str))  # asyncpg's UUID is a class of its own
