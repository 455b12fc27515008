"""Mails that were given up keep no text: it may hold a secret."""

from alembic import op

revision = "0016"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("UPDATE jobs SET args = '' WHERE name = 'mail.send' AND state = 'dead'")
