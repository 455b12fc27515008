"""Rows as the wire shows them, in answers and in events alike."""

from datetime import datetime
from uuid import UUID

import orjson

from doable.accounts.schemas import UserRef
from doable.core import clock
from doable.core.events import EventRow
from doable.lists.schemas import InvitationCreated, InvitationResponse, ListRef, ListResponse, MemberResponse
from doable.lists.statements import ListRow
from doable.lists.statements.invitations import InvitationRow
from doable.lists.statements.membership import MemberRow


def shown(row: ListRow) -> ListResponse:
    return ListResponse.model_validate(row)


def member(user_id: UUID, username: str, role: str, joined_at: datetime) -> MemberResponse:
    return MemberResponse(user=UserRef(id=user_id, username=username), role=role, joined_at=joined_at)


def member_row(row: MemberRow) -> MemberResponse:
    return member(row.user_id, row.username, row.role, row.joined_at)


def invitation(row: InvitationRow) -> InvitationResponse:
    return InvitationResponse(
        id=row.id,
        list=ListRef(id=row.list_id, name=row.list_name),
        email=row.email,
        role=row.role,
        invited_by=UserRef(id=row.inviter_id, username=row.inviter_name),
        status="expired" if row.status == "pending" and row.expires_at <= clock.now() else row.status,
        created_at=row.created_at,
        expires_at=row.expires_at,
    )


def new_invitation(row: InvitationRow, url: str | None) -> InvitationCreated:
    return InvitationCreated(**dict(invitation(row)), url=url)


def event(row: EventRow, *, personal: bool = False) -> orjson.Fragment:
    """An event of a list, or a `personal` one, as JSON, for `orjson.dumps`; its data go in as they are stored."""
    whole = {
        "list_id": None if personal else row.stream_id,
        "revision": row.revision,
        "operation_id": row.operation_id,
        "at": clock.iso(row.at),
        "actor_id": row.actor_id,
        "kind": row.kind,
        "data": orjson.Fragment(row.data),
    }
    return orjson.Fragment(orjson.dumps(whole, default=str))  # asyncpg's UUID is a class of its own
