"""The tables of accounts, lists and todos."""

import secrets

import sqlalchemy as sa
from alembic import op

from doable.core import tables

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "attempts",
        sa.Column("key", sa.LargeBinary(length=32), nullable=False),
        sa.Column("failures", sa.BigInteger(), nullable=False),
        sa.Column("blocked_until", tables.Instant(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_attempts")),
    )
    op.create_index("ix_attempts_blocked_until", "attempts", ["blocked_until"], unique=False)
    op.create_table(
        "instance",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("epoch", sa.Text(), nullable=False),
        sa.CheckConstraint("id = 1", name=op.f("ck_instance_single")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_instance")),
    )
    op.create_table(
        "streams",
        sa.Column("id", tables.Id(), nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_streams")),
    )
    op.create_table(
        "users",
        sa.Column("id", tables.Id(), nullable=False),
        sa.Column("email", sa.Text(), nullable=False),
        sa.Column("email_key", sa.Text(), nullable=True),
        sa.Column("username", sa.Text(), nullable=False),
        sa.Column("username_key", sa.Text(), nullable=True),
        sa.Column("password_hash", sa.Text(), nullable=True),
        sa.Column("email_verified_at", tables.Instant(timezone=True), nullable=True),
        sa.Column("disabled_at", tables.Instant(timezone=True), nullable=True),
        sa.Column("deleted_at", tables.Instant(timezone=True), nullable=True),
        sa.Column("is_admin", sa.Boolean(), nullable=False),
        sa.Column("timezone", sa.Text(), nullable=False),
        sa.Column("inbox_id", tables.Id(), nullable=False),
        sa.Column("created_at", tables.Instant(timezone=True), nullable=False),
        sa.Column("updated_at", tables.Instant(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_users")),
        sa.UniqueConstraint("email_key", name=op.f("uq_users_email_key")),
        sa.UniqueConstraint("username_key", name=op.f("uq_users_username_key")),
    )
    op.create_table(
        "api_tokens",
        sa.Column("user_id", tables.Id(), nullable=False),
        sa.Column("id", tables.Id(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("digest", sa.LargeBinary(length=32), nullable=False),
        sa.Column("scopes", sa.Text(), nullable=False),
        sa.Column("expires_at", tables.Instant(timezone=True), nullable=True),
        sa.Column("last_used_at", tables.Instant(timezone=True), nullable=True),
        sa.Column("created_at", tables.Instant(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_api_tokens_user_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("user_id", "id", name=op.f("pk_api_tokens")),
        sa.UniqueConstraint("digest", name=op.f("uq_api_tokens_digest")),
    )
    op.create_table(
        "lists",
        sa.Column("id", tables.Id(), nullable=False),
        sa.Column("owner_id", tables.Id(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("color", sa.Text(), nullable=True),
        sa.Column("is_inbox", sa.Boolean(), nullable=False),
        sa.Column("archived_at", tables.Instant(timezone=True), nullable=True),
        sa.Column("deleted_at", tables.Instant(timezone=True), nullable=True),
        sa.Column("created_at", tables.Instant(timezone=True), nullable=False),
        sa.Column("updated_at", tables.Instant(timezone=True), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["owner_id"], ["users.id"], name=op.f("fk_lists_owner_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_lists")),
    )
    op.create_index("ix_lists_owner_id", "lists", ["owner_id"], unique=False)
    op.create_table(
        "mailed_tokens",
        sa.Column("user_id", tables.Id(), nullable=False),
        sa.Column("purpose", sa.Text(), nullable=False),
        sa.Column("digest", sa.LargeBinary(length=32), nullable=False),
        sa.Column("mailbox", sa.Text(), nullable=False),
        sa.Column("expires_at", tables.Instant(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_mailed_tokens_user_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("user_id", "purpose", name=op.f("pk_mailed_tokens")),
        sa.UniqueConstraint("digest", name=op.f("uq_mailed_tokens_digest")),
    )
    op.create_table(
        "sessions",
        sa.Column("id", tables.Id(), nullable=False),
        sa.Column("user_id", tables.Id(), nullable=False),
        sa.Column("refresh_hash", sa.LargeBinary(length=32), nullable=False),
        sa.Column("previous_hash", sa.LargeBinary(length=32), nullable=True),
        sa.Column("grandparent_hash", sa.LargeBinary(length=32), nullable=True),
        sa.Column("grandparent_replaced_at", tables.Instant(timezone=True), nullable=True),
        sa.Column("rotation_salt", sa.LargeBinary(length=32), nullable=True),
        sa.Column("generation", sa.Integer(), nullable=False),
        sa.Column("seen_generation", sa.Integer(), nullable=False),
        sa.Column("seen_at", tables.Instant(timezone=True), nullable=True),
        sa.Column("rotated_at", tables.Instant(timezone=True), nullable=False),
        sa.Column("created_at", tables.Instant(timezone=True), nullable=False),
        sa.Column("last_used_at", tables.Instant(timezone=True), nullable=False),
        sa.Column("expires_at", tables.Instant(timezone=True), nullable=False),
        sa.Column("revoked_at", tables.Instant(timezone=True), nullable=True),
        sa.Column("user_agent", sa.Text(), nullable=True),
        sa.Column("ip", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_sessions_user_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_sessions")),
    )
    op.create_index("ix_sessions_expires_at", "sessions", ["expires_at"], unique=False)
    op.create_index("ix_sessions_user_id", "sessions", ["user_id"], unique=False)
    op.create_table(
        "members",
        sa.Column("list_id", tables.Id(), nullable=False),
        sa.Column("user_id", tables.Id(), nullable=False),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("joined_at", tables.Instant(timezone=True), nullable=False),
        sa.CheckConstraint("role IN ('owner', 'editor', 'viewer')", name=op.f("ck_members_role")),
        sa.ForeignKeyConstraint(["list_id"], ["lists.id"], name=op.f("fk_members_list_id"), ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_members_user_id")),
        sa.PrimaryKeyConstraint("list_id", "user_id", name=op.f("pk_members")),
    )
    op.create_index("ix_members_user_id", "members", ["user_id", "list_id"], unique=False)
    op.create_table(
        "todos",
        sa.Column("id", tables.Id(), nullable=False),
        sa.Column("list_id", tables.Id(), nullable=False),
        sa.Column("position", sa.Text().with_variant(sa.Text(collation="C"), "postgresql"), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("title_key", sa.Text().with_variant(sa.Text(collation="C"), "postgresql"), nullable=False),
        sa.Column("description", sa.Text(), nullable=True),
        sa.Column("priority", sa.Integer(), nullable=False),
        sa.Column("completed_at", tables.Instant(timezone=True), nullable=True),
        sa.Column("created_by", tables.Id(), nullable=False),
        sa.Column("created_at", tables.Instant(timezone=True), nullable=False),
        sa.Column("updated_at", tables.Instant(timezone=True), nullable=False),
        sa.Column("deleted_at", tables.Instant(timezone=True), nullable=True),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.CheckConstraint("priority BETWEEN 1 AND 5", name=op.f("ck_todos_priority")),
        sa.ForeignKeyConstraint(["created_by"], ["users.id"], name=op.f("fk_todos_created_by")),
        sa.ForeignKeyConstraint(["list_id"], ["lists.id"], name=op.f("fk_todos_list_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_todos")),
    )
    op.create_index("ix_todos_list_id_id", "todos", ["list_id", "id"], unique=False)
    op.create_index("ix_todos_list_id_position", "todos", ["list_id", "position", "id"], unique=False)
    op.execute(
        sa.table("instance", sa.column("id"), sa.column("epoch")).insert().values(id=1, epoch=secrets.token_hex(6))
    )
