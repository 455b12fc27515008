"""What `doable serve` says before the log begins: where it is, what it uses, and how to make the first person."""

import os
import sys
from importlib import metadata
from pathlib import Path

from doable.cli import environment
from doable.settings import LOOPBACK_HOSTS, Settings


def render(settings: Settings, address: tuple[str, int], *, workers: int, anybody: bool) -> str:
    """`address`: what the socket is bound to. `anybody`: whether there is a user already."""
    url = _url(*address)
    redis = environment.describe_redis(settings)
    alone = "this process only" if workers == 1 else "each process alone (REDIS_URL lets them share)"
    lines = {
        "API": url + settings.api_v1_prefix,
        "Docs": f"{url}/docs" if settings.docs_enabled else "switched off",
        "Database": environment.describe_database(settings),
        "Limits": f"shared through Redis at {redis}" if redis else alone,
        "Data": str(settings.data_dir.absolute()),
    }
    if settings.metrics_port:
        lines["Metrics"] = f"http://127.0.0.1:{settings.metrics_port}/metrics"
    text = [f"Doable {metadata.version('doable')}", *(f"  {name:<9} {value}" for name, value in lines.items())]
    if not _knows_its_name(settings, address[0]):
        text.append("Only loopback names are answered to: set PUBLIC_URL (or ALLOWED_HOSTS) to how clients call it.")
    if not anybody:
        text.append(f"There is no user yet. Make the first one:  {_program()} user create --admin")
    return "\n".join(text)


def _url(host: str, port: int) -> str:
    shown = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host) or (f"[{host}]" if ":" in host else host)  # noqa: S104 — compared, not bound
    return f"http://{shown}:{port}"


def _knows_its_name(settings: Settings, host: str) -> bool:
    return host in {"127.0.0.1", "::1"} or not set(settings.hosts) <= set(LOOPBACK_HOSTS)


def _program() -> str:
    """As it was called, so that the line can be copied; `doable` where that is no program's name."""
    called = sys.argv[0]
    return called if Path(called).name == "doable" and os.access(called, os.X_OK) else "doable"
