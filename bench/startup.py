"""How long a start takes, beside the import of what it depends on alone."""

import asyncio
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from bench import servers
from bench.comparison import Comparison, Options, at_most, compare, judged
from doable import migrations

_HELP, _READY = 0.4, 1.5
_LIST = """
import json, sys
import doable.cli.serve, doable.cli.server, doable.app, doable.runtime, doable.core.executors.sqlite.native
print(json.dumps([name for name in sys.modules if not name.startswith(("doable", "__main__"))]))
"""
_IMPORT = """
import importlib, json, sys
for name in json.load(sys.stdin):
    try:
        importlib.import_module(name)
    except ImportError:
        pass
"""


def measure(folder: Path, options: Options) -> Iterator[Comparison]:
    """`doable --help`, and a server that answers, each beside an interpreter or an import that does nothing more."""
    home = folder / "startup"
    home.mkdir()
    url = f"sqlite:///{home / 'doable.db'}"
    asyncio.run(migrations.migrate(url))
    helped = compare("`python -c ''` and `doable --help`", "s", (_nothing, _help), options.rounds)
    yield judged(helped, helped.second, at_most(_HELP))
    modules = subprocess.run([sys.executable, "-c", _LIST], stdout=subprocess.PIPE, check=True).stdout

    def importing() -> float:
        began = time.perf_counter()
        subprocess.run([sys.executable, "-c", _IMPORT], input=modules, check=True)
        return time.perf_counter() - began

    def ready() -> float:
        command = servers.doable("started", url, home)._replace(path="/health/ready")
        began = time.perf_counter()
        with servers.serving(command, home, core=None):
            return time.perf_counter() - began

    what = "import of dependencies, and a server that is ready"
    yield compare(what, "s", (importing, ready), options.rounds, at_most(_READY))


def _nothing() -> float:
    return _run("-c", "")


def _help() -> float:
    return _run("-c", "import sys; from doable.cli import main; sys.exit(main())", "--help")


def _run(*arguments: str) -> float:
    began = time.perf_counter()
    subprocess.run([sys.executable, *arguments], stdout=subprocess.DEVNULL, check=True)
    return time.perf_counter() - began
