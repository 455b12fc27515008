"""Invitations, and a stream for every person. Events about members are found by whom they are about."""

import sqlalchemy as sa
from alembic import op

from doable.core import tables

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "invitations",
        sa.Column("id", tables.Id(), nullable=False),
        sa.Column("list_id", tables.Id(), nullable=False),
        sa.Column("email", sa.Text(), nullable=False),
        sa.Column("mailbox", sa.Text(), nullable=False),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("digest", sa.LargeBinary(length=32), nullable=False),
        sa.Column("invited_by", tables.Id(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("created_at", tables.Instant(timezone=True), nullable=False),
        sa.Column("expires_at", tables.Instant(timezone=True), nullable=False),
        sa.CheckConstraint("role IN ('editor', 'viewer')", name=op.f("ck_invitations_role")),
        sa.CheckConstraint(
            "status IN ('pending', 'accepted', 'declined', 'revoked', 'expired')", name=op.f("ck_invitations_status")
        ),
        sa.ForeignKeyConstraint(["invited_by"], ["users.id"], name=op.f("fk_invitations_invited_by")),
        sa.ForeignKeyConstraint(["list_id"], ["lists.id"], name=op.f("fk_invitations_list_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_invitations")),
        sa.UniqueConstraint("digest", name=op.f("uq_invitations_digest")),
    )
    op.create_index("ix_invitations_list_id", "invitations", ["list_id", "id"], unique=False)
    op.create_index("ix_invitations_mailbox", "invitations", ["mailbox", "id"], unique=False)
    op.create_index(
        "uq_invitations_list_id_mailbox",
        "invitations",
        ["list_id", "mailbox"],
        unique=True,
        sqlite_where=sa.text("status = 'pending'"),
        postgresql_where=sa.text("status = 'pending'"),
    )
    op.execute("INSERT INTO streams (id, revision) SELECT id, 0 FROM users WHERE deleted_at IS NULL")
    op.execute(
        "UPDATE events SET subject_id = (SELECT owner_id FROM lists WHERE lists.id = events.stream_id)"
        " WHERE kind = 'member.added'"
    )
