"""The table of jobs."""

import sqlalchemy as sa
from alembic import op

from doable.core import tables

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "jobs",
        sa.Column("id", tables.Id(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("queue", sa.Text(), nullable=False),
        sa.Column("args", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=True),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("run_at", tables.Instant(timezone=True), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("fence", sa.BigInteger(), nullable=False),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("created_at", tables.Instant(timezone=True), nullable=False),
        sa.Column("finished_at", tables.Instant(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_jobs")),
    )
    live, keyed = sa.text("finished_at IS NULL"), sa.text("key IS NOT NULL")
    op.create_index("ix_jobs_live", "jobs", ["queue", "run_at"], postgresql_where=live, sqlite_where=live)
    op.create_index("ix_jobs_finished_at", "jobs", ["finished_at"])
    op.create_index("uq_jobs_key", "jobs", ["key"], unique=True, postgresql_where=keyed, sqlite_where=keyed)
