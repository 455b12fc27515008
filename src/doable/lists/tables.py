"""Lists, their members, and who is invited."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import (
    Boolean,
    CheckConstraint,
    Column,
    ForeignKey,
    Index,
    Integer,
    Named,
    Table,
    Text,
    TypedColumns,
    text,
)
from sqlalchemy import UniqueConstraint as Unique

from doable.core.tables import Digest, Id, Instant, metadata


class ListColumns(TypedColumns):
    id: Named[UUID] = Column(Id, primary_key=True)
    owner_id: Named[UUID] = Column(Id, ForeignKey("users.id"))
    name: Named[str] = Column(Text)
    color: Named[str | None] = Column(Text)
    is_inbox: Named[bool] = Column(Boolean(create_constraint=False))
    archived_at: Named[datetime | None] = Column(Instant)
    deleted_at: Named[datetime | None] = Column(Instant)
    created_at: Named[datetime] = Column(Instant)
    updated_at: Named[datetime] = Column(Instant)
    version: Named[int] = Column(Integer)


class MemberColumns(TypedColumns):
    list_id: Named[UUID] = Column(Id, ForeignKey("lists.id", ondelete="CASCADE"), primary_key=True)
    user_id: Named[UUID] = Column(Id, ForeignKey("users.id"), primary_key=True)
    role: Named[str] = Column(Text)
    joined_at: Named[datetime] = Column(Instant)


class InvitationColumns(TypedColumns):
    """`email` is the address as typed, `mailbox` what it is compared by; a `pending` one may have expired."""

    id: Named[UUID] = Column(Id, primary_key=True)
    list_id: Named[UUID] = Column(Id, ForeignKey("lists.id", ondelete="CASCADE"))
    email: Named[str] = Column(Text)
    mailbox: Named[str] = Column(Text)
    role: Named[str] = Column(Text)
    digest: Named[bytes] = Column(Digest)
    invited_by: Named[UUID] = Column(Id, ForeignKey("users.id"))
    status: Named[str] = Column(Text)
    created_at: Named[datetime] = Column(Instant)
    expires_at: Named[datetime] = Column(Instant)


lists = Table("lists", metadata, ListColumns, Index("ix_lists_owner_id", "owner_id"))
members = Table(
    "members",
    metadata,
    MemberColumns,
    CheckConstraint("role IN ('owner', 'editor', 'viewer')", name="role"),
    Index("ix_members_user_id", "user_id", "list_id"),
)
invitations = Table(
    "invitations",
    metadata,
    InvitationColumns,
    CheckConstraint("role IN ('editor', 'viewer')", name="role"),
    CheckConstraint("status IN ('pending', 'accepted', 'declined', 'revoked', 'expired')", name="status"),
    Unique("digest"),
    Index("ix_invitations_list_id", "list_id", "id"),
    Index("ix_invitations_mailbox", "mailbox", "id"),
    Index(
        "uq_invitations_list_id_mailbox",
        "list_id",
        "mailbox",
        unique=True,
        sqlite_where=text("status = 'pending'"),
        postgresql_where=text("status = 'pending'"),
    ),
)
