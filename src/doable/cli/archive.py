"""`doable backup`, `doable restore` and `doable db new-epoch`: the database as a whole."""

import asyncio
import os
from contextlib import suppress
from pathlib import Path
from typing import IO

import click

from doable import features, migrations
from doable.cli import environment, examples, migrate, sole
from doable.cli.failures import Failure
from doable.migrations import archive
from doable.migrations.archive import ArchiveError
from doable.settings import Settings

assert features.FEATURES  # noqa: S101 — their import makes the tables known


@click.command(epilog=examples.epilog("doable backup doable-2026-11-22.gz"))
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
def backup(file: Path) -> None:
    """Write the whole database to FILE, while the server goes on serving.

    Everything of one instant is in it, passwords' hashes and all: keep it as safe as the database. It can be restored
    into a database of either kind.
    """
    settings = environment.read_settings()
    migrate.require_current(asyncio.run(migrate.schema_of(settings)))
    unfinished = file.with_name(f"{file.name}.unfinished")
    with _new_file(unfinished) as out:
        try:
            rows = asyncio.run(_write(settings, out))
            out.flush()
            os.fsync(out.fileno())
            _name(unfinished, file)
        finally:
            unfinished.unlink()
    click.echo(f"{file} has all {rows} rows of the database.")


@click.command(epilog=examples.epilog("DATABASE_URL=sqlite:///new.db doable restore doable-2026-11-22.gz"))
@click.argument("file", type=click.File("rb"))
def restore(file: IO[bytes]) -> None:
    """Fill a new, empty database from FILE.

    All or nothing. The database gets a new epoch: clients that keep copies read everything again. Nothing is ever
    overwritten: to replace a database, move it away first.
    """
    settings = environment.read_settings()
    environment.prepare_folders(settings)
    try:
        rows = asyncio.run(_read(settings, file))
    except ArchiveError as error:
        raise Failure(str(error)) from None
    click.echo(f"The database has all {rows} rows of {file.name}, and a new epoch.")


@click.group
def db() -> None:
    """Look after the database."""


@db.command("new-epoch", epilog=examples.epilog("doable db new-epoch"))
def new_epoch() -> None:
    """Have clients that keep copies read everything again.

    For a database that was put back by other means than `doable restore`. Stop the servers first: a process that still
    has the epoch of before ends itself within seconds, and a SQLite file that is served gets none.
    """
    settings = environment.read_settings()
    environment.prepare_folders(settings)
    with sole.server_of(settings):
        migrate.require_current(asyncio.run(migrate.schema_of(settings)))
        click.echo(f"The epoch is {asyncio.run(_renew(settings))} now. Start the servers again.")


async def _write(settings: Settings, out: IO[bytes]) -> int:
    async with migrations.snapshot(settings.database) as connection:
        return await archive.write(connection, out)


async def _read(settings: Settings, file: IO[bytes]) -> int:
    async with migrations.writing(settings.database) as connection:
        return await archive.read(connection, file)


async def _renew(settings: Settings) -> str:
    async with migrations.writing(settings.database) as connection:
        return await connection.run_sync(archive.new_epoch)


def _new_file(path: Path) -> IO[bytes]:
    try:
        return open(path, "xb", opener=lambda name, flags: os.open(name, flags, 0o600))
    except FileExistsError:
        raise Failure(f"{path} exists: another backup is being written, or was interrupted.") from None
    except OSError as error:
        raise Failure(f"{path} cannot be written: {error.strerror}") from None


def _name(unfinished: Path, file: Path) -> None:
    """Only what is complete has the name of a backup."""
    with suppress(FileExistsError):
        file.hardlink_to(unfinished)
        return
    raise Failure(f"{file} exists; a backup overwrites nothing.")
