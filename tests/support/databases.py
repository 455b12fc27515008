"""Migrated and empty databases of both kinds, made by copying a template."""

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

from doable import migrations
from tests.support import blocking
from tests.support.postgres import Postgres

TEMPLATE = "migrated"


def sqlite_template(folder: Path) -> Path:
    """A migrated SQLite file without a log beside it."""
    file = folder / "template.db"
    blocking.run(migrations.migrate(f"sqlite:///{file}"))
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return file


def postgres_template(postgres: Postgres) -> str:
    """The name of a migrated database on this server."""
    postgres.execute(f"CREATE DATABASE {TEMPLATE} TEMPLATE template0")
    blocking.run(migrations.migrate(postgres.url(TEMPLATE)))
    return TEMPLATE


def copy_sqlite(template: Path, folder: Path) -> str:
    """The URL of a copy of the template in `folder`."""
    file = folder / "doable.db"
    shutil.copyfile(template, file)
    return f"sqlite:///{file}"
