"""Who wants a daily digest."""

import sqlalchemy as sa
from alembic import op

from doable.core import tables

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "digests",
        sa.Column("user_id", tables.Id(), nullable=False),
        sa.Column("at", sa.Text(), nullable=False),
        sa.Column("next_at", tables.Instant(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_digests_user_id")),
        sa.PrimaryKeyConstraint("user_id", name=op.f("pk_digests")),
    )
    op.create_index("ix_digests_next_at", "digests", ["next_at"])
