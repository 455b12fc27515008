"""`doable migrate`, and what the state of a database's schema is."""

import asyncio
from enum import Enum, auto

import click
from alembic.script import ScriptDirectory

from doable import migrations
from doable.cli import environment, examples
from doable.cli.failures import Failure
from doable.settings import Settings

CHANGED = "The database has the newest schema now."


class Schema(Enum):
    CURRENT = auto()
    OLD = auto()  # or none
    NEWER = auto()  # than this version of the program


@click.command(epilog=examples.epilog("doable migrate", "doable migrate --check"))
@click.option("--check", is_flag=True, help="Change nothing; exit with 1 if there is something to do.")
def migrate(*, check: bool) -> None:
    """Bring the database to the newest schema.

    `doable serve` does it too, unless it is told not to. Safe to run from several places at once: one does the
    work, the others wait for it.
    """
    settings = environment.read_settings()
    environment.prepare_folders(settings)
    if check:
        require_current(asyncio.run(schema_of(settings)))
    changed = not check and asyncio.run(bring_up_to_date(settings))
    click.echo(CHANGED if changed else "The database has the newest schema.")


async def bring_up_to_date(settings: Settings) -> bool:
    """`False`: it was so already."""
    schema = await schema_of(settings)
    _refuse_newer(schema)
    return schema is Schema.OLD and await migrations.migrate(settings.database)


async def schema_of(settings: Settings) -> Schema:
    async with environment.open_database(settings):
        return await find_schema(settings)


async def find_schema(settings: Settings) -> Schema:
    return _compare(await migrations.heads(settings.database))


def require_current(schema: Schema) -> None:
    _refuse_newer(schema)
    if schema is Schema.OLD:
        raise Failure("The database does not have the newest schema; `doable migrate` brings it there.")


def _refuse_newer(schema: Schema) -> None:
    if schema is Schema.NEWER:
        raise Failure("The database was migrated by a newer version of Doable; install that one.")


def _compare(found: frozenset[str]) -> Schema:
    scripts = ScriptDirectory.from_config(migrations.script_config())
    if found == set(scripts.get_heads()):
        return Schema.CURRENT
    known = {script.revision for script in scripts.walk_revisions()}
    return Schema.OLD if found <= known else Schema.NEWER
