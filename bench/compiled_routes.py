"""CPU of a server for each request, with compiled routes and without: `python -m bench.compiled_routes [--url URL]`.

Answers that take nothing from the database are among them: there a route is all that is to be paid.
"""

import argparse
import asyncio
import tempfile
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path

from bench import load, servers, world
from bench.comparison import compare, table
from bench.load import Load
from bench.operations import request
from bench.processes import Server
from bench.world import Person

CONNECTIONS = 8


def main() -> None:
    """Print a table: for each operation the microseconds of both servers and their ratio."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--url", help="an empty PostgreSQL database; without it there is a SQLite file")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=1.0)
    options = parser.parse_args()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        url = options.url or f"sqlite:///{folder / 'doable.db'}"
        person = asyncio.run(world.prepare(url, 1, 40))[0]
        started = [
            stack.enter_context(servers.serving(servers.doable(name, url, folder, COMPILED_ROUTES=compiled), folder))
            for name, compiled in (("compiled", "true"), ("fastapi", "false"))
        ]
        compared = [
            compare(name, "µs of CPU", (_cpu(started[0], one), _cpu(started[1], one)), options.rounds)
            for name, one in _loads(person, options.seconds).items()
        ]
    print(table(compared))


def _loads(person: Person, seconds: float) -> Mapping[str, Load]:
    one = f"/todos/{person.todo_ids[0]}"
    accepted = {
        "GET todo": request(person.token, "GET", one),
        "GET 20 todos": request(person.token, "GET", "/todos?size=20"),
        "GET lists": request(person.token, "GET", "/lists"),
        "POST todo": request(person.token, "POST", "/todos", {"title": "Buy milk"}),
        "PATCH todo": request(person.token, "PATCH", one, {"title": "Same"}),
        "completion": request(person.token, "PUT", f"{one}/completion", {}),
    }
    refused = {
        "401": request("", "GET", "/todos/x"),
        "422": request(person.token, "POST", "/todos", {"title": 1}),
    }
    loads = {name: Load([asked], seconds, CONNECTIONS) for name, asked in accepted.items()}
    return loads | {name: Load([asked], seconds, CONNECTIONS, refusals=True) for name, asked in refused.items()}


def _cpu(server: Server, one: Load) -> Callable[[], float]:
    return lambda: load.run(server, one).cpu


if __name__ == "__main__":
    main()
