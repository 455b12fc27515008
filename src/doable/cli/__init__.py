"""The command line: which commands there are. Each is imported when it is used, so that `--help` answers at once."""

import gc
import importlib
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

import click

from doable.cli import examples

COMMANDS = {
    "serve": ("doable.cli.serve:serve", "Run the server."),
    "worker": ("doable.cli.worker:worker", "Do the background work alone."),
    "migrate": ("doable.cli.migrate:migrate", "Bring the database to the newest schema."),
    "backup": ("doable.cli.archive:backup", "Write the whole database to FILE, while the server goes on serving."),
    "restore": ("doable.cli.archive:restore", "Fill a new, empty database from FILE."),
    "db": ("doable.cli.archive:db", "Look after the database."),
    "user": ("doable.cli.user:user", "Create people, list them, and change what they may do."),
    "jobs": ("doable.cli.jobs:jobs", "Look at the background work."),
    "mail": ("doable.cli.mail:mail", "Find out whether mail arrives."),
    "verify": ("doable.cli.verify:verify", "Try what is promised, and show what held."),
    "routes": ("doable.cli.documents:routes", "List what the server answers to."),
    "openapi": ("doable.cli.documents:openapi", "Print the OpenAPI document."),
    "version": ("doable.cli.version:version", "Say which version this is."),
}

PROGRAM = object()
"""What a command finds in its context where this process is the program, and not one that calls it."""


class _Commands(click.Group):
    def list_commands(self, _ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        with _no_collections() if ctx.obj is PROGRAM else nullcontext():
            return _imported(*COMMANDS[cmd_name][0].split(":"))

    def format_commands(self, _ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, summary) for name, (_, summary) in COMMANDS.items()])


def _imported(module: str, attribute: str) -> click.Command:
    command: click.Command = getattr(importlib.import_module(module), attribute)
    return command


@contextmanager
def _no_collections() -> Iterator[None]:
    """An import hardly leaves garbage; to look for it would be an eighth of the start of a server.

    What has been imported stays, so that nobody who looks later has to go through it either.
    """
    gc.disable()
    try:
        yield
        gc.freeze()
    finally:
        gc.enable()


@click.group(
    cls=_Commands,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog=examples.epilog("doable serve", "doable user create --admin", "doable serve --help"),
)
@click.version_option(package_name="doable", message="%(version)s")
def commands() -> None:
    """Doable, a todo server for people and programs.

    Settings are read from the environment and from the file .env; without any, everything is kept in ./data.
    """


def main() -> None:
    commands(prog_name="doable", obj=PROGRAM)
