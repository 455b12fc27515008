"""How long a start takes, beside the import of what it depends on alone: by the clock, and in CPU.

Importing is a process from its start to its end, a start is one until it answers that it is ready. Nothing is compiled
anew: the first of each, which is not counted, leaves its byte code for the others.
"""

import asyncio
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from bench import servers
from bench.comparison import Comparison, Options, at_most, compare, judged
from doable import migrations

_HELP, _READY = 0.4, 1.5
_LIST = f"""
{servers.INSTALLED}
import json
import doable.cli.serve, doable.cli.server, doable.app, doable.runtime, doable.core.executors.sqlite.native
print(json.dumps([name for name in sys.modules if sys.modules[name] and not name.startswith(("doable", "__main__"))]))
"""
_IMPORT = f"""
{servers.INSTALLED}
import importlib, json
for name in json.load(sys.stdin):
    try:
        importlib.import_module(name)
    except ImportError:
        pass
"""


class _Took(NamedTuple):
    """Seconds."""

    clock: float
    cpu: float


def measure(folder: Path, options: Options) -> Iterator[Comparison]:
    """`doable --help`, and a server that answers, each beside an interpreter or an import that does nothing more."""
    home = folder / "startup"
    home.mkdir()
    helped = compare("`python -c ''` and `doable --help`", "s", (_nothing, _help), options.rounds)
    yield judged(helped, helped.second, at_most(_HELP))
    yield from _readiness(home, options)


def _readiness(home: Path, options: Options) -> Iterator[Comparison]:
    url = f"sqlite:///{home / 'doable.db'}"
    asyncio.run(migrations.migrate(url))
    compiled = {"PYTHONPYCACHEPREFIX": str(home / "bytecode"), "PYTHONDONTWRITEBYTECODE": ""}
    command = servers.doable("started", url, home, **compiled)._replace(path="/health/ready")
    modules = subprocess.run([sys.executable, "-c", _LIST], stdout=subprocess.PIPE, check=True).stdout

    def taken(of: Callable[[_Took], float]) -> tuple[Callable[[], float], Callable[[], float]]:
        return lambda: of(_imported(modules, compiled)), lambda: of(_started(command, home))

    what = "import of dependencies, and a server that is ready"
    yield compare(what, "s", taken(lambda took: took.clock), options.rounds, at_most(_READY))
    yield compare(what, "s of CPU", taken(lambda took: took.cpu), options.rounds, at_most(_READY))


def _imported(modules: bytes, environment: Mapping[str, str]) -> _Took:
    began, used = time.perf_counter(), _cpu_of_children()
    subprocess.run([sys.executable, "-c", _IMPORT], input=modules, env={**os.environ, **environment}, check=True)
    return _Took(time.perf_counter() - began, _cpu_of_children() - used)


def _cpu_of_children() -> float:
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    return ended.ru_utime + ended.ru_stime


def _started(command: servers.Command, home: Path) -> _Took:
    began = time.perf_counter()
    with servers.serving(command, home, core=None) as server:
        return _Took(time.perf_counter() - began, server.usage().cpu)


def _nothing() -> float:
    return _run("-c", "")


def _help() -> float:
    return _run("-c", "import sys; from doable.cli import main; sys.exit(main())", "--help")


def _run(*arguments: str) -> float:
    began = time.perf_counter()
    subprocess.run([sys.executable, *arguments], stdout=subprocess.DEVNULL, check=True)
    return time.perf_counter() - began
