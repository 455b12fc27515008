"""Tickets for rooms, and the stream that tells every process whose credentials have ended."""

from uuid import UUID

import sqlalchemy as sa
from alembic import op

from doable.core import tables

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "tickets",
        sa.Column("digest", sa.LargeBinary(length=32), nullable=False),
        sa.Column("user_id", tables.Id(), nullable=False),
        sa.Column("session_id", tables.Id(), nullable=True),
        sa.Column("token_id", tables.Id(), nullable=True),
        sa.Column("expires_at", tables.Instant(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_tickets_user_id_users"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("digest", name=op.f("pk_tickets")),
    )
    op.create_index("ix_tickets_expires_at", "tickets", ["expires_at"], unique=False)
    streams = sa.table("streams", sa.column("id", tables.Id()), sa.column("revision", sa.BigInteger()))
    op.execute(streams.insert().values(id=UUID(int=1), revision=0))
