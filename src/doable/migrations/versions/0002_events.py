"""The event log. What happened to a stream before it was not logged: the log begins at the revision of today."""

import sqlalchemy as sa
from alembic import op

from doable.core import tables

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "events",
        sa.Column("stream_id", tables.Id(), nullable=False),
        sa.Column("revision", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("operation_id", tables.Id(), nullable=False),
        sa.Column("at", tables.Instant(timezone=True), nullable=False),
        sa.Column("actor_id", tables.Id(), nullable=True),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("subject_id", tables.Id(), nullable=True),
        sa.Column("data", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("stream_id", "revision", name=op.f("pk_events")),
    )
    op.create_index("ix_events_subject_id", "events", ["subject_id", "at", "revision"], unique=False)
    op.add_column("streams", sa.Column("trimmed", sa.BigInteger(), server_default="0", nullable=False))
    streams = sa.table("streams", sa.column("revision"), sa.column("trimmed"))
    op.execute(streams.update().values(trimmed=streams.c.revision))
