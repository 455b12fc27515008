"""Todos."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import CheckConstraint, Column, ForeignKey, Index, Integer, Named, Table, Text, TypedColumns

from doable.core.tables import Id, Instant, Sorted, metadata


class TodoColumns(TypedColumns):
    id: Named[UUID] = Column(Id, primary_key=True)
    list_id: Named[UUID] = Column(Id, ForeignKey("lists.id", ondelete="CASCADE"))
    position: Named[str] = Column(Sorted)
    title: Named[str] = Column(Text)
    title_key: Named[str] = Column(Sorted)  # NFKC and casefolded, for sorting
    description: Named[str | None] = Column(Text)
    priority: Named[int] = Column(Integer)
    completed_at: Named[datetime | None] = Column(Instant)
    created_by: Named[UUID] = Column(Id, ForeignKey("users.id"))
    created_at: Named[datetime] = Column(Instant)
    updated_at: Named[datetime] = Column(Instant)
    deleted_at: Named[datetime | None] = Column(Instant)
    version: Named[int] = Column(Integer)


todos = Table(
    "todos",
    metadata,
    TodoColumns,
    CheckConstraint("priority BETWEEN 1 AND 5", name="priority"),
    # The orders that GET /todos has by default, as index walks.
    Index("ix_todos_list_id_position", "list_id", "position", "id"),
    Index("ix_todos_list_id_id", "list_id", "id"),
)
