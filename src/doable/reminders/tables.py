"""Reminders."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import Boolean, Column, ForeignKey, Index, Integer, Named, Table, Text, TypedColumns

from doable.core.tables import Id, Instant, metadata


class ReminderColumns(TypedColumns):
    """`settled`: for `fires_at` it has fired, or it was too late to; another due of the todo unsettles it."""

    id: Named[UUID] = Column(Id, primary_key=True)
    todo_id: Named[UUID] = Column(Id, ForeignKey("todos.id", ondelete="CASCADE"))
    user_id: Named[UUID] = Column(Id, ForeignKey("users.id"))
    at: Named[datetime | None] = Column(Instant)
    offset_minutes: Named[int | None] = Column(Integer)
    channels: Named[str] = Column(Text)  # JSON
    fires_at: Named[datetime | None] = Column(Instant)
    fired_at: Named[datetime | None] = Column(Instant)
    settled: Named[bool] = Column(Boolean(create_constraint=False))
    created_at: Named[datetime] = Column(Instant)


reminders = Table(
    "reminders",
    metadata,
    ReminderColumns,
    Index("ix_reminders_todo_id", "todo_id", "user_id", "id"),
    Index("ix_reminders_user_id", "user_id"),
)
