"""What Alembic runs: it migrates the connection that it is given."""

from alembic import context

from doable import features
from doable.core import instance
from doable.core.tables import metadata

assert {"todos", "instance"} <= metadata.tables.keys(), (features, instance)  # noqa: S101 — filled by these imports

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    render_as_batch=True,
    compare_type=True,
    user_module_prefix="tables.",
)
with context.begin_transaction():
    context.run_migrations()
