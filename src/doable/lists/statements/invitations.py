"""What can be asked about invitations; permission is part of every statement that is not asked by a secret."""

from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import Select, bindparam, exists, func, insert, or_, select, update

from doable.accounts.tables import users
from doable.core.pages import Order, listing
from doable.core.queries import Query, query, scalar
from doable.lists.statements import has_role
from doable.lists.tables import invitations, lists, members


class InvitationRow(NamedTuple):
    id: UUID
    list_id: UUID
    list_name: str
    email: str
    mailbox: str
    role: str
    inviter_id: UUID
    inviter_name: str
    status: str
    created_at: datetime
    expires_at: datetime


def visible() -> Select[*tuple[Any, ...]]:
    """All invitations but those to deleted lists."""
    return (
        select(
            invitations.c.id,
            invitations.c.list_id,
            lists.c.name.label("list_name"),
            invitations.c.email,
            invitations.c.mailbox,
            invitations.c.role,
            users.c.id.label("inviter_id"),
            users.c.username.label("inviter_name"),
            invitations.c.status,
            invitations.c.created_at,
            invitations.c.expires_at,
        )
        .join_from(invitations, lists, lists.c.id == invitations.c.list_id)
        .join(users, users.c.id == invitations.c.invited_by)
        .where(lists.c.deleted_at.is_(None))
    )


_newest = Order("id", invitations.c.id, descending=True)
_open = (invitations.c.status == "pending", invitations.c.expires_at > bindparam("now"))

INVITATIONS = listing(
    "invitations",
    InvitationRow,
    visible().where(invitations.c.list_id == bindparam("list_id"), has_role(invitations.c.list_id, "owner")),
    _newest,
)
MINE = listing(
    "invitations.mine",
    InvitationRow,
    visible().where(
        invitations.c.mailbox == bindparam("mailbox"),
        *_open,
        ~exists().where(members.c.list_id == invitations.c.list_id, members.c.user_id == bindparam("actor_id")),
    ),
    _newest,
)
"""Open ones to an address that `actor_id` has proved, but for lists that he is in already."""

INVITATION: Query[InvitationRow] = query(
    InvitationRow,
    visible().where(
        invitations.c.id == bindparam("invitation_id"),
        invitations.c.list_id == bindparam("list_id"),
        has_role(invitations.c.list_id, "owner"),
    ),
)
PENDING: Query[InvitationRow] = query(
    InvitationRow,
    visible().where(
        invitations.c.list_id == bindparam("list_id"),
        invitations.c.mailbox == bindparam("mailbox"),
        invitations.c.status == "pending",
    ),
)
BY_TOKEN: Query[InvitationRow] = query(InvitationRow, visible().where(invitations.c.digest == bindparam("digest")))
TO_MAILBOX: Query[InvitationRow] = query(
    InvitationRow,
    visible().where(invitations.c.id == bindparam("invitation_id"), invitations.c.mailbox == bindparam("mailbox")),
)
OPEN_TO: Query[int] = query(
    scalar,
    select(func.count().label("open"))
    .select_from(invitations)
    .join(lists, lists.c.id == invitations.c.list_id)
    .where(invitations.c.mailbox == bindparam("mailbox"), *_open, lists.c.deleted_at.is_(None)),
)
SEATS: Query[int] = query(
    scalar,
    select(
        (
            select(func.count()).where(members.c.list_id == bindparam("list_id")).scalar_subquery()
            + select(func.count())
            .where(invitations.c.list_id == bindparam("list_id"), invitations.c.status == "pending")
            .scalar_subquery()
        ).label("seats")
    ),
)
"""Taken ones: those of members, and those that are kept for the invited."""

INSERT = insert(invitations)
ANSWER = (
    update(invitations)
    .where(invitations.c.id == bindparam("invitation_id"), invitations.c.list_id == bindparam("home_id"), *_open)
    .values(status=bindparam("answer"))
)
EXPIRE = (
    update(invitations)
    .where(
        invitations.c.list_id == bindparam("home_id"),
        invitations.c.status == "pending",
        invitations.c.expires_at <= bindparam("now"),
    )
    .values(status="expired")
)
REVOKE_OF = (
    update(invitations)
    .where(
        invitations.c.list_id == bindparam("home_id"),
        or_(invitations.c.mailbox == bindparam("box"), invitations.c.invited_by == bindparam("sender_id")),
        invitations.c.status == "pending",
    )
    .values(status="revoked")
)
"""Those to a mailbox and those that somebody has sent."""
