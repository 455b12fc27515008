"""Reminders; deliveries of what is in no log carry what is sent."""

import sqlalchemy as sa
from alembic import op

from doable.core import tables

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("deliveries", sa.Column("body", sa.Text(), nullable=True))
    op.create_table(
        "reminders",
        sa.Column("id", tables.Id(), nullable=False),
        sa.Column("todo_id", tables.Id(), nullable=False),
        sa.Column("user_id", tables.Id(), nullable=False),
        sa.Column("at", tables.Instant(timezone=True), nullable=True),
        sa.Column("offset_minutes", sa.Integer(), nullable=True),
        sa.Column("channels", sa.Text(), nullable=False),
        sa.Column("fires_at", tables.Instant(timezone=True), nullable=True),
        sa.Column("fired_at", tables.Instant(timezone=True), nullable=True),
        sa.Column("settled", sa.Boolean(), nullable=False),
        sa.Column("created_at", tables.Instant(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["todo_id"], ["todos.id"], name=op.f("fk_reminders_todo_id"), ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_reminders_user_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_reminders")),
    )
    op.create_index("ix_reminders_todo_id", "reminders", ["todo_id", "user_id", "id"])
    op.create_index("ix_reminders_user_id", "reminders", ["user_id"])
