"""How soon a server is ready, beside what importing its dependencies takes: `python -m bench.start [--rounds 3]`.

CPU, which a busy machine does not change much, and the memory of a server that has just begun. Nothing is compiled
anew: the first start of a round that is not counted leaves its byte code for the others.
"""

import argparse
import http.client
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.support.addresses import free_port

TICK = os.sysconf("SC_CLK_TCK")
PATIENCE = 60.0
_LOADED = """
import json, sys
from doable.cli import serve
print(json.dumps([name for name in sys.modules if name.partition(".")[0] not in {"__main__", "doable"}]))
"""
_LOAD = """
import contextlib, importlib, json, sys
for name in json.load(sys.stdin):
    with contextlib.suppress(Exception):  # parts of packages that cannot be imported alone
        importlib.import_module(name)
"""


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        serve(folder)
        modules = run([sys.executable, "-c", _LOADED], "", folder)
        rounds = [(imports(modules, folder), *serve(folder)) for _ in range(options.rounds)]
    alone, ready, memory = (statistics.median(values) for values in zip(*rounds, strict=True))
    print(f"{len(json.loads(modules))} modules of others, imported alone: {alone:.2f} s of CPU")
    print(f"ready to serve: {ready:.2f} s of CPU, {ready / alone:.2f} times as much; {memory:.0f} MB")


def imports(modules: str, folder: str) -> float:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    run([sys.executable, "-c", _LOAD], modules, folder)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def run(command: list[str], given: str, folder: str) -> str:
    done = subprocess.run(command, input=given, env=environment(folder), capture_output=True, check=True, text=True)
    return done.stdout


def environment(folder: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return {**kept, "DATA_DIR": folder, "PYTHONPYCACHEPREFIX": f"{folder}/bytecode"}


def serve(folder: str) -> tuple[float, float]:
    """Seconds of CPU until it is ready, and then its memory in MB."""
    port = free_port()
    program = str(Path(sys.executable).with_name("doable"))
    process = subprocess.Popen(
        [program, "serve", "--port", str(port)],
        cwd=folder, env=environment(folder), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        until = time.monotonic() + PATIENCE
        while not is_ready(port) and time.monotonic() < until:
            time.sleep(0.02)
        user, system = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()[11:13]
        status = Path(f"/proc/{process.pid}/status").read_text()
    finally:
        process.terminate()
        process.wait(PATIENCE)
    return (int(user) + int(system)) / TICK, int(status.partition("VmRSS:")[2].split()[0]) / 1024


def is_ready(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", "/health/ready")
        return connection.getresponse().status == http.HTTPStatus.OK
    except OSError:
        return False
    finally:
        connection.close()


if __name__ == "__main__":
    main()
