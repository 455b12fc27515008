"""What is in the trash is found without looking at the rest."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    trashed = sa.text("deleted_at IS NOT NULL")
    op.create_index(
        "ix_todos_deleted_at",
        "todos",
        ["list_id", "deleted_at"],
        unique=False,
        postgresql_where=trashed,
        sqlite_where=trashed,
    )
