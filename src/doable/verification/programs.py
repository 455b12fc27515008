"""How a step runs the tools of the development environment."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from doable.settings import Settings
from doable.verification.outcomes import Outcome, Place, fell, not_run

NO_CHECKOUT = "needs the repository: clone it and run `make verify` there"


@dataclass(frozen=True)
class Ended:
    """`code` is `None` when it took too long and was killed."""

    code: int | None
    output: str

    @property
    def tail(self) -> str:
        return "\n".join(self.output.strip().splitlines()[-200:])

    @property
    def last_line(self) -> str:
        return (self.output.strip().splitlines() or [""])[-1].strip("= ")


def needs_checkout(check: Callable[[Place, Path], Outcome]) -> Callable[[Place], Outcome]:
    """For a step that works on the source; without it the step says so."""

    def checked(place: Place) -> Outcome:
        return check(place, place.checkout) if place.checkout else not_run(NO_CHECKOUT)

    return checked


def installed(name: str) -> Path | None:
    """The program of that name beside this Python."""
    program = Path(sys.executable).parent / name
    return program if program.exists() else None


def run(folder: Path, name: str, *arguments: str, seconds: float, **environment: str) -> Ended:
    """Run a program that is `installed`, with both its outputs, for so long at most."""
    command = [str(installed(name) or name), *arguments]
    try:
        process = subprocess.Popen(  # noqa: S603 — one of our own tools, with our arguments
            command,
            cwd=folder,
            env=bare() | environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,
        )
    except FileNotFoundError:
        return Ended(127, f"{name} is not installed")
    with process:
        return _end_of(process, seconds)


def _end_of(process: subprocess.Popen[str], seconds: float) -> Ended:
    """Whatever it has started ends with it, servers of tests as well."""
    try:
        output, _ = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired as late:
        os.killpg(process.pid, signal.SIGKILL)
        written = late.output.decode(errors="replace") if isinstance(late.output, bytes) else late.output or ""
        return Ended(None, f"{written}\nnot done after {seconds:g} s")
    except BaseException:  # Ctrl-C, which has reached this process alone
        os.killpg(process.pid, signal.SIGINT)
        raise
    return Ended(process.returncode, output)


def refused(name: str, ended: Ended) -> Outcome:
    """What becomes of a step whose program did not end as it should."""
    if installed(name) is None:
        return not_run(f"{name} is not installed: run `make verify`, which brings it")
    return fell("took too long" if ended.code is None else ended.last_line or f"exit code {ended.code}", ended.tail)


def bare(**settings: str) -> dict[str, str]:
    """The environment, with no setting of a server in it but these: an operator's own must not decide."""
    kept = {name: value for name, value in os.environ.items() if name.lower() not in Settings.model_fields}
    return {**kept, "PYTHONUNBUFFERED": "1", **settings}
