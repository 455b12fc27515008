"""The servers that are compared, and which of them this machine can run."""

import shutil
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

from bench import report, servers
from bench.servers import Command
from tests.support import configuration

OURS, PLAIN, LIMIT = "Doable", "Doable uncompiled, on SQLAlchemy", "the limit"
TEMPLATE, LITESTAR, NINJA = "full-stack template's style", "Litestar, advanced-alchemy", "Django Ninja"
FASTIFY = "Fastify, pg"
DOABLE = OURS, PLAIN
PEERS = TEMPLATE, LITESTAR, NINJA, FASTIFY
_ROOT = report.DOCUMENT.parent.parent
_FASTIFY = _ROOT / "bench" / "peers" / "fastify"
_GUNICORN = (
    "--worker-class",
    "gthread",
    "--workers",
    "1",
    "--threads",
    "32",
    "--keep-alive",
    "75",
    "--no-control-socket",
)


def commands(url: str, folder: Path) -> list[Command]:
    """All that can run here. Peers answer to tokens that Doable signs."""
    return [
        Command(LIMIT, [sys.executable, "-m", "bench.peers.limit"], _environment(url)),
        servers.doable(OURS, url, folder),
        servers.doable(PLAIN, url, folder, EXECUTOR="sqlalchemy", COMPILED_ROUTES="false"),
        *_peers(url),
    ]


def missing() -> list[str]:
    """What cannot run here, and why."""
    found = [command.name for command in _peers("")]
    return [
        f"{name}: not installed (`make bench` does it, and Fastify needs Node)" for name in PEERS if name not in found
    ]


def _peers(url: str) -> Iterator[Command]:
    environment = _environment(url)
    if find_spec("sqlmodel"):
        yield Command(TEMPLATE, [sys.executable, "-m", "bench.peers.template"], environment)
    if find_spec("litestar") and find_spec("advanced_alchemy"):
        yield Command(LITESTAR, [sys.executable, "-m", "bench.peers.litestar_app"], environment)
    if find_spec("ninja") and find_spec("gunicorn"):
        serve = ["-m", "gunicorn", *_GUNICORN, "--bind", "127.0.0.1:{port}", "bench.peers.ninja_app:application"]
        yield Command(NINJA, [sys.executable, *serve], environment, "/api/v1/live")
    if (node := shutil.which("node")) and (_FASTIFY / "node_modules").is_dir():
        yield Command(FASTIFY, [node, str(_FASTIFY / "server.js")], {**environment, "NODE_ENV": "production"})


def _environment(url: str) -> dict[str, str]:
    return {"DATABASE_URL": url, "SECRET_KEY": configuration.SECRET_KEY, "PYTHONPATH": str(_ROOT)}
