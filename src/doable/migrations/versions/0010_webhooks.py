"""Webhooks and what they are sent; streams know how far their followers have come."""

import sqlalchemy as sa
from alembic import op

from doable.core import tables

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("streams", sa.Column("followed", sa.BigInteger(), nullable=True))
    op.create_table(
        "webhooks",
        sa.Column("id", tables.Id(), nullable=False),
        sa.Column("list_id", tables.Id(), nullable=True),
        sa.Column("user_id", tables.Id(), nullable=False),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("kinds", sa.Text(), nullable=True),
        sa.Column("secret", sa.LargeBinary(length=32), nullable=False),
        sa.Column("previous_secret", sa.LargeBinary(length=32), nullable=True),
        sa.Column("renewed_at", tables.Instant(timezone=True), nullable=True),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("failing_since", tables.Instant(timezone=True), nullable=True),
        sa.Column("resumes_at", tables.Instant(timezone=True), nullable=True),
        sa.Column("busy_until", tables.Instant(timezone=True), nullable=True),
        sa.Column("created_at", tables.Instant(timezone=True), nullable=False),
        sa.Column("updated_at", tables.Instant(timezone=True), nullable=False),
        sa.CheckConstraint("status IN ('active', 'paused', 'disabled')", name=op.f("ck_webhooks_status")),
        sa.ForeignKeyConstraint(["list_id"], ["lists.id"], name=op.f("fk_webhooks_list_id"), ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_webhooks_user_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_webhooks")),
    )
    op.create_index("ix_webhooks_list_id", "webhooks", ["list_id"])
    op.create_index("ix_webhooks_user_id", "webhooks", ["user_id"])
    op.create_table(
        "deliveries",
        sa.Column("id", tables.Id(), nullable=False),
        sa.Column("webhook_id", tables.Id(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("list_id", tables.Id(), nullable=True),
        sa.Column("revision", sa.BigInteger(), nullable=True),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("response_status", sa.Integer(), nullable=True),
        sa.Column("next_attempt_at", tables.Instant(timezone=True), nullable=True),
        sa.Column("created_at", tables.Instant(timezone=True), nullable=False),
        sa.CheckConstraint("status IN ('pending', 'delivered', 'failed', 'dead')", name=op.f("ck_deliveries_status")),
        sa.ForeignKeyConstraint(
            ["webhook_id"], ["webhooks.id"], name=op.f("fk_deliveries_webhook_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_deliveries")),
    )
    waiting = sa.text("next_attempt_at IS NOT NULL")
    op.create_index("ix_deliveries_webhook_id", "deliveries", ["webhook_id", "id"])
    op.create_index(
        "ix_deliveries_waiting",
        "deliveries",
        ["webhook_id", "next_attempt_at", "id"],
        postgresql_where=waiting,
        sqlite_where=waiting,
    )
    op.create_index("ix_deliveries_created_at", "deliveries", ["created_at"])
