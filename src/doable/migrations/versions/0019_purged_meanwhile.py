"""A todo does not come under an id that is being purged in that moment."""

from alembic import op

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None

# A statement that has waited for the purge sees the log as it was before; what a trigger asks sees it as it is by now.
# What this transaction has written itself comes out of a backup.
POSTGRESQL = (
    """
CREATE FUNCTION todo_refuse_purged() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (
        SELECT FROM events
        WHERE subject_id = NEW.id AND kind = 'todo.purged' AND xmin <> pg_current_xact_id()::xid
    ) THEN
        RAISE 'it has been purged meanwhile' USING ERRCODE = 'serialization_failure';
    END IF;
    RETURN NULL;
END $$""",
    """CREATE TRIGGER todo_refuse_purged AFTER INSERT ON todos FOR EACH ROW EXECUTE FUNCTION todo_refuse_purged()""",
)


def upgrade() -> None:
    if op.get_bind().dialect.name == "postgresql":  # writers of SQLite are one after the other
        for statement in POSTGRESQL:
            op.execute(statement)
