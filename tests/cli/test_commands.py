"""The commands as a whole: what is common to all of them."""

import subprocess
import sys
from collections.abc import Iterator
from importlib import metadata

import click
import pytest

from doable import cli
from tests.cli.conftest import Doable


def all_commands() -> Iterator[tuple[str, click.Command]]:
    context = click.Context(cli.commands)
    for name in cli.COMMANDS:
        command = cli.commands.get_command(context, name)
        assert command is not None
        yield from walk(name, command)


def walk(path: str, command: click.Command) -> Iterator[tuple[str, click.Command]]:
    if isinstance(command, click.Group):
        for name, inner in command.commands.items():
            yield from walk(f"{path} {name}", inner)
    else:
        yield path, command


COMMANDS = dict(all_commands())


def test_the_help_names_every_command_in_the_order_of_use(doable: Doable) -> None:
    result = doable("--help")
    assert result.returncode == 0
    lines = result.stdout.splitlines()
    start = lines.index("Commands:") + 1
    assert [line.split()[0] for line in lines[start : start + len(cli.COMMANDS)]] == list(cli.COMMANDS)


def test_the_help_comes_at_once_because_it_imports_none_of_the_server() -> None:
    code = (
        "import sys; from doable.cli import commands\n"
        "commands(['--help'], standalone_mode=False)\n"
        "print('IMPORTED', *sorted({name.partition('.')[0] for name in sys.modules}))"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    imported = set(result.stdout.partition("IMPORTED")[2].split())
    assert "click" in imported
    assert not imported & {"fastapi", "starlette", "pydantic", "sqlalchemy", "uvicorn", "alembic", "structlog"}


def test_what_a_command_imports_is_never_looked_through_for_garbage() -> None:
    code = (
        "import click, gc; from doable import cli\n"
        "before = len(gc.get_objects())\n"
        "collections = []; gc.callbacks.append(lambda phase, _: collections.append(phase))\n"
        "cli.commands.get_command(click.Context(cli.commands, obj=cli.PROGRAM), 'serve')\n"
        "print(len(collections), gc.get_freeze_count() > 10 * before, gc.isenabled())"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.split() == ["0", "True", "True"]


@pytest.mark.parametrize("name", cli.COMMANDS)
def test_the_table_says_what_the_command_says_of_itself(name: str) -> None:
    command = cli.commands.get_command(click.Context(cli.commands), name)
    assert command is not None
    assert command.help is not None
    assert command.help.splitlines()[0] == cli.COMMANDS[name][1]


@pytest.mark.parametrize("path", COMMANDS)
def test_every_command_explains_itself_with_an_example(path: str) -> None:
    text = COMMANDS[path].get_help(click.Context(COMMANDS[path]))
    head, _, example = text.partition("Example:\n")
    assert f"doable {path}" in example
    assert all(len(line) <= 80 for line in head.splitlines())
    assert "\b" not in text


@pytest.mark.parametrize("path", COMMANDS)
def test_every_option_is_explained(path: str) -> None:
    for parameter in COMMANDS[path].params:
        if isinstance(parameter, click.Option):
            assert parameter.help, parameter.name


def test_the_version_alone_and_for_reports(doable: Doable) -> None:
    number = metadata.version("doable")
    assert doable("--version").stdout == f"{number}\n"
    assert doable("version").stdout.startswith(f"doable {number} (Python 3.")


def test_an_unknown_command_is_a_mistake_of_usage(doable: Doable) -> None:
    result = doable("srve")
    assert result.returncode == 2
    assert "No such command 'srve'" in result.stderr
