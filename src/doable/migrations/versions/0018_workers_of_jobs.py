"""Who runs a job, so that others see when he has died."""

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None


def upgrade() -> None:
    held = sa.text("state = 'running' AND worker IS NOT NULL")
    op.add_column("jobs", sa.Column("worker", sa.Integer()))
    op.create_index("ix_jobs_worker", "jobs", ["worker"], postgresql_where=held, sqlite_where=held)
