"""Lists and their members."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import Boolean, CheckConstraint, Column, ForeignKey, Index, Integer, Named, Table, Text, TypedColumns

from doable.core.tables import Id, Instant, metadata


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


lists = Table("lists", metadata, ListColumns, Index("ix_lists_owner_id", "owner_id"))
members = Table(
    "members",
    metadata,
    MemberColumns,
    CheckConstraint("role IN ('owner', 'editor', 'viewer')", name="role"),
    Index("ix_members_user_id", "user_id", "list_id"),
)
