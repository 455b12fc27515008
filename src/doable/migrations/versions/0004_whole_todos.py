"""Subtasks, due dates, recurrence, labels, assignees, and what todos are found by."""

import sqlalchemy as sa
from alembic import op

from doable.core import tables
from doable.todos import search

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

SORTED = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")

POSTGRESQL = (
    """
CREATE FUNCTION todo_search_renew() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'UPDATE' THEN
        DELETE FROM todo_search WHERE todo_id = NEW.id;
    END IF;
    INSERT INTO todo_search (list_id, term, todo_id, label)
    SELECT NEW.list_id, entry->>0, NEW.id, entry->>1 FROM json_array_elements(CAST(NEW.terms AS json)) AS entry;
    RETURN NULL;
END $$""",
    """CREATE TRIGGER todo_search_insert AFTER INSERT ON todos FOR EACH ROW EXECUTE FUNCTION todo_search_renew()""",
    """CREATE TRIGGER todo_search_update AFTER UPDATE OF terms, list_id ON todos FOR EACH ROW
    WHEN (OLD.terms <> NEW.terms OR OLD.list_id <> NEW.list_id) EXECUTE FUNCTION todo_search_renew()""",
)
SQLITE = (
    """CREATE TRIGGER todo_search_insert AFTER INSERT ON todos BEGIN
    INSERT INTO todo_search (list_id, term, todo_id, label)
    SELECT NEW.list_id, json_extract(value, '$[0]'), NEW.id, json_extract(value, '$[1]') FROM json_each(NEW.terms);
    END""",
    """CREATE TRIGGER todo_search_update AFTER UPDATE OF terms, list_id ON todos
    WHEN OLD.terms <> NEW.terms OR OLD.list_id <> NEW.list_id BEGIN
    DELETE FROM todo_search WHERE todo_id = NEW.id;
    INSERT INTO todo_search (list_id, term, todo_id, label)
    SELECT NEW.list_id, json_extract(value, '$[0]'), NEW.id, json_extract(value, '$[1]') FROM json_each(NEW.terms);
    END""",
)


def upgrade() -> None:
    with op.batch_alter_table("todos") as todos:
        todos.add_column(sa.Column("parent_id", tables.Id(), nullable=True))
        todos.add_column(sa.Column("due_date", SORTED, nullable=True))
        todos.add_column(sa.Column("due_time", sa.Text(), nullable=True))
        todos.add_column(sa.Column("due_timezone", sa.Text(), nullable=True))
        todos.add_column(sa.Column("due_at", tables.Instant(timezone=True), nullable=True))
        todos.add_column(sa.Column("due_key", tables.Instant(timezone=True), nullable=True))
        todos.add_column(sa.Column("rule", sa.Text(), nullable=True))
        todos.add_column(sa.Column("basis", sa.Text(), nullable=True))
        todos.add_column(sa.Column("anchor", sa.Text(), nullable=True))
        todos.add_column(sa.Column("done", sa.Integer(), server_default="0", nullable=False))
        todos.add_column(sa.Column("labels", sa.Text(), server_default="[]", nullable=False))
        todos.add_column(sa.Column("terms", sa.Text(), server_default="[]", nullable=False))
        todos.add_column(sa.Column("assignee_id", tables.Id(), nullable=True))
        todos.add_column(sa.Column("deleted_with", tables.Id(), nullable=True))
        todos.create_foreign_key(op.f("fk_todos_parent_id"), "todos", ["parent_id"], ["id"], ondelete="CASCADE")
        todos.create_foreign_key(op.f("fk_todos_assignee_id"), "users", ["assignee_id"], ["id"])
    op.execute("UPDATE todos SET deleted_with = id WHERE deleted_at IS NOT NULL")
    op.create_index("ix_todos_parent_id", "todos", ["parent_id"], unique=False)
    op.create_index("ix_todos_assignee_id", "todos", ["assignee_id", "list_id"], unique=False)
    op.create_table(
        "occurrences",
        sa.Column("todo_id", tables.Id(), nullable=False),
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("due_date", sa.Text(), nullable=False),
        sa.Column("due_time", sa.Text(), nullable=True),
        sa.Column("due_timezone", sa.Text(), nullable=True),
        sa.Column("due_at", tables.Instant(timezone=True), nullable=True),
        sa.Column("completed_at", tables.Instant(timezone=True), nullable=False),
        sa.Column("completed_by", tables.Id(), nullable=False),
        sa.ForeignKeyConstraint(["completed_by"], ["users.id"], name=op.f("fk_occurrences_completed_by")),
        sa.ForeignKeyConstraint(["todo_id"], ["todos.id"], name=op.f("fk_occurrences_todo_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("todo_id", "number", name=op.f("pk_occurrences")),
    )
    op.create_table(
        "todo_search",
        sa.Column("list_id", tables.Id(), nullable=False),
        sa.Column("term", SORTED, nullable=False),
        sa.Column("todo_id", tables.Id(), nullable=False),
        sa.Column("label", SORTED, nullable=True),
        sa.ForeignKeyConstraint(["todo_id"], ["todos.id"], name=op.f("fk_todo_search_todo_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("list_id", "term", "todo_id", name=op.f("pk_todo_search")),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_todo_search_todo_id", "todo_search", ["todo_id"], unique=False)
    for statement in SQLITE if op.get_bind().dialect.name == "sqlite" else POSTGRESQL:
        op.execute(statement)
    _find_what_is_there()


def _find_what_is_there() -> None:
    """The triggers see this, and fill todo_search."""
    todos = sa.table(
        "todos", sa.column("id", tables.Id()), sa.column("title"), sa.column("description"), sa.column("terms")
    )
    connection = op.get_bind()
    renew = todos.update().where(todos.c.id == sa.bindparam("todo_id")).values(terms=sa.bindparam("new"))
    some = sa.select(todos.c.id, todos.c.title, todos.c.description).order_by(todos.c.id).limit(1_000)
    rows = connection.execute(some).all()
    while rows:
        new = [{"todo_id": row.id, "new": search.terms(row.title, row.description, ())} for row in rows]
        connection.execute(renew, new)
        rows = connection.execute(some.where(todos.c.id > rows[-1].id)).all()
