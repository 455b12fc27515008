"""What has been in the trash for long is found without looking at the rest, in all lists."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    trashed = sa.text("deleted_at IS NOT NULL")
    op.create_index(
        "ix_todos_expired",
        "todos",
        ["deleted_at", "id"],
        unique=False,
        postgresql_where=trashed,
        sqlite_where=trashed,
    )
