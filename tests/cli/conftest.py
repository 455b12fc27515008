"""The program as people call it: the installed `doable`, in an empty folder, with nothing of a developer's settings."""

import io
import logging
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from doable.cli import commands
from doable.settings import get_settings
from tests.support import servers

PROGRAM = Path(sys.executable).with_name("doable")

type Result = subprocess.CompletedProcess[str]
type Doable = Callable[..., Result]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where the program runs; empty, so that `data` is made in it."""
    made = tmp_path / "folder"
    made.mkdir()
    return made


@pytest.fixture
def doable(folder: Path) -> Doable:
    """`doable("user", "list", typed="…", DATABASE_URL="…")`: arguments, standard input, further environment."""

    def run(*arguments: str, typed: str = "", **environment: str) -> Result:
        return subprocess.run(
            [PROGRAM, *arguments],
            cwd=folder,
            env=servers._bare_environment() | environment,
            input=typed,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    return run


@pytest.fixture
def doable_here(
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> Iterator[Doable]:
    """The same in this process, where it does not matter: a process of its own takes a second or two."""
    caplog.set_level(logging.WARNING, "alembic")  # in a process of their own these commands have no log

    def run(*arguments: str, typed: str = "", **environment: str) -> Result:
        monkeypatch.chdir(folder)
        monkeypatch.setattr(sys, "stdin", io.StringIO(typed))
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        get_settings.cache_clear()
        with pytest.raises(SystemExit) as end:
            commands.main(arguments, prog_name="doable")
        assert isinstance(end.value.code, int)
        return subprocess.CompletedProcess(arguments, end.value.code, *capfd.readouterr())

    yield run
    get_settings.cache_clear()
