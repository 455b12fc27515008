"""Todos, the occurrences that have been done of those that repeat, and the terms that they are found by."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import CheckConstraint, Column, ForeignKey, Index, Integer, Named, Table, Text, TypedColumns, text

from doable.core.tables import Id, Instant, Sorted, metadata


class TodoColumns(TypedColumns):
    id: Named[UUID] = Column(Id, primary_key=True)
    list_id: Named[UUID] = Column(Id, ForeignKey("lists.id", ondelete="CASCADE"))
    parent_id: Named[UUID | None] = Column(Id, ForeignKey("todos.id", ondelete="CASCADE"))
    position: Named[str] = Column(Sorted)
    title: Named[str] = Column(Text)
    title_key: Named[str] = Column(Sorted)  # NFKC and casefolded, for sorting
    description: Named[str | None] = Column(Text)
    priority: Named[int] = Column(Integer)
    completed_at: Named[datetime | None] = Column(Instant)
    # As a person wrote it: 2026-11-22, 14:30, Europe/Zagreb.
    due_date: Named[str | None] = Column(Sorted)
    due_time: Named[str | None] = Column(Text)
    due_timezone: Named[str | None] = Column(Text)
    due_at: Named[datetime | None] = Column(Instant)  # only with a zone
    due_key: Named[datetime | None] = Column(Instant)  # for sorting: without a zone as if written in UTC
    rule: Named[str | None] = Column(Text)
    basis: Named[str | None] = Column(Text)
    anchor: Named[str | None] = Column(Text)  # the date that COUNT and INTERVAL run from
    done: Named[int] = Column(Integer, server_default="0")  # occurrences of the rule
    labels: Named[str] = Column(Text, server_default="[]")  # JSON, as it is answered
    terms: Named[str] = Column(Text, server_default="[]")  # JSON; triggers turn it into rows of todo_search
    assignee_id: Named[UUID | None] = Column(Id, ForeignKey("users.id"))
    created_by: Named[UUID] = Column(Id, ForeignKey("users.id"))
    created_at: Named[datetime] = Column(Instant)
    updated_at: Named[datetime] = Column(Instant)
    deleted_at: Named[datetime | None] = Column(Instant)
    deleted_with: Named[UUID | None] = Column(Id)  # the todo whose deletion took this one along, perhaps itself
    version: Named[int] = Column(Integer)


class OccurrenceColumns(TypedColumns):
    todo_id: Named[UUID] = Column(Id, ForeignKey("todos.id", ondelete="CASCADE"), primary_key=True)
    number: Named[int] = Column(Integer, primary_key=True, autoincrement=False)
    due_date: Named[str] = Column(Text)
    due_time: Named[str | None] = Column(Text)
    due_timezone: Named[str | None] = Column(Text)
    due_at: Named[datetime | None] = Column(Instant)
    completed_at: Named[datetime] = Column(Instant)
    completed_by: Named[UUID] = Column(Id, ForeignKey("users.id"))


class SearchColumns(TypedColumns):
    list_id: Named[UUID] = Column(Id, primary_key=True)
    term: Named[str] = Column(Sorted, primary_key=True)
    todo_id: Named[UUID] = Column(Id, ForeignKey("todos.id", ondelete="CASCADE"), primary_key=True)
    label: Named[str | None] = Column(Sorted)  # as a person wrote it, where the term is one


_TRASHED = text("deleted_at IS NOT NULL")

todos = Table(
    "todos",
    metadata,
    TodoColumns,
    CheckConstraint("priority BETWEEN 1 AND 5", name="priority"),
    # The orders that GET /todos has by default, as index walks.
    Index("ix_todos_list_id_position", "list_id", "position", "id"),
    Index("ix_todos_list_id_id", "list_id", "id"),
    Index("ix_todos_parent_id", "parent_id"),
    Index("ix_todos_assignee_id", "assignee_id", "list_id"),
    Index("ix_todos_deleted_at", "list_id", "deleted_at", postgresql_where=_TRASHED, sqlite_where=_TRASHED),
    Index("ix_todos_expired", "deleted_at", "id", postgresql_where=_TRASHED, sqlite_where=_TRASHED),
)

occurrences = Table("occurrences", metadata, OccurrenceColumns)

# So that it cannot fall behind. The list comes first: what others have costs nothing.
todo_search = Table(
    "todo_search",
    metadata,
    SearchColumns,
    Index("ix_todo_search_todo_id", "todo_id"),
    info={"written_by_triggers": True},
    sqlite_with_rowid=False,  # its key is all there is
)
