"""The key of a job is unique among those that wait, and no longer lost when it is taken."""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    keyed = sa.text("key IS NOT NULL AND state = 'waiting'")
    op.drop_index("uq_jobs_key", "jobs")
    op.create_index("uq_jobs_key", "jobs", ["key"], unique=True, postgresql_where=keyed, sqlite_where=keyed)
