"""`make run` and `make test` find what they need on a machine that has little."""

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
UV = """#!/bin/sh
case "$1" in
--version) echo "uv 0.13.9" ;;
python) exit 1 ;;
*) echo "downloads=$UV_PYTHON_DOWNLOADS" "$@" ;;
esac
"""
SHIM = "#!/bin/sh\necho 'pyenv: python3.13: command not found' >&2\nexit 127\n"
TOOLS = ("sh", "dirname", "cat")


@dataclass
class Machine:
    """A folder with the script, a PATH with next to nothing, and an empty home."""

    home: Path

    @property
    def path(self) -> Path:
        return self.home / "bin"

    def install(self, name: str, text: str) -> None:
        file = self.home / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        file.chmod(0o755)

    def link(self, name: str, target: str | None) -> None:
        assert target
        file = self.home / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.symlink_to(target)

    def run(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [self.home / "scripts" / "environment", *arguments],
            env={"PATH": str(self.path), "HOME": str(self.home), **environment},
            capture_output=True,
            text=True,
            check=False,
        )


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    machine = Machine(tmp_path)
    machine.install("scripts/environment", (ROOT / "scripts" / "environment").read_text())
    machine.install("bin/uv", UV)
    for tool in TOOLS:
        machine.link(f"bin/{tool}", shutil.which(tool))
    return machine


def test_a_shim_that_does_not_run_is_passed_over_for_a_python_of_pyenv(machine: Machine) -> None:
    machine.install("bin/python3.13", SHIM)
    machine.link(".pyenv/versions/3.13.0/bin/python", sys.executable)
    result = machine.run("run")
    assert result.returncode == 0, result.stderr
    assert result.stdout.startswith("downloads=never sync --quiet --frozen ")
    assert f"--python {machine.home}/.pyenv/versions/3.13.0/bin/python" in result.stdout


def test_running_needs_no_development_packages_and_removes_none(machine: Machine) -> None:
    machine.link("bin/python3", sys.executable)
    assert " --no-dev --inexact " in machine.run("run").stdout
    assert " --dev " in machine.run("dev").stdout


def test_without_any_python_uv_is_asked_to_download_one(machine: Machine) -> None:
    result = machine.run("run")
    assert result.stdout.startswith("downloads=automatic ")
    assert "asking uv to download one" in result.stderr


def test_a_named_python_that_does_not_do_is_refused(machine: Machine) -> None:
    machine.link("bin/python3", sys.executable)
    result = machine.run("run", PYTHON="/nowhere/python")
    assert result.returncode == 1
    assert result.stderr == "doable: PYTHON=/nowhere/python is not a Python from 3.12 to 3.14\n"


def test_an_old_uv_is_not_used(machine: Machine) -> None:
    machine.install("bin/uv", UV.replace("0.13.9", "0.4.30"))
    result = machine.run("run")
    assert result.returncode == 1
    assert result.stderr == "doable: there is no Python 3 on this machine\n"


def test_make_alone_lists_the_commands() -> None:
    result = subprocess.run(
        ["make"], cwd=ROOT, env={"PATH": os.environ["PATH"]}, capture_output=True, text=True, check=True
    )
    assert [line.split()[0] for line in result.stdout.splitlines()][:4] == ["help", "run", "dev", "test"]
