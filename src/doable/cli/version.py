"""`doable version`: what a report of a bug has to name."""

import platform
import sqlite3
from importlib import metadata

import click

from doable.cli import examples


@click.command(epilog=examples.epilog("doable version"))
def version() -> None:
    """Say which version this is.

    With the versions of Python and SQLite, for reports of bugs. `doable --version` prints the number alone.
    """
    python = platform.python_version()
    click.echo(f"doable {metadata.version('doable')} (Python {python}, SQLite {sqlite3.sqlite_version})")
