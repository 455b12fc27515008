"""CPU of a server for each request: Doable, what it is bounded by, and its peers: `python -m bench.requests`.

All serve the same rows of one PostgreSQL. In every round each gets each operation once, in an order of chance; ratios
are taken in each round, and medians of them are printed.
"""

import argparse
import asyncio
import random
import statistics
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from bench import load, operations, report, servers, world
from bench.load import Load, Sample
from bench.processes import Server
from bench.servers import Command
from bench.world import Person
from tests.support import configuration

OURS, SLOW, LIMIT = "Doable", "Doable, FastAPI and SQLAlchemy alone", "the limit"
SHOWN = (operations.GET_ONE, operations.GET_PAGE, operations.POST, operations.POST_WITH_KEY)
type Samples = dict[tuple[str, str], list[Sample]]


def main() -> None:
    options = _options()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        postgres = stack.enter_context(world.postgres())
        url = stack.enter_context(postgres.fresh())
        people = asyncio.run(world.prepare(url, options.people, options.todos))
        started = [stack.enter_context(servers.serving(command, folder)) for command in _commands(url, folder)]
        samples = _measure(started, people, options)
    _print(samples, [server.name for server in started])


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=1.5)
    parser.add_argument("--people", type=int, default=1000)
    parser.add_argument("--todos", type=int, default=100, help="of each person")
    return parser.parse_args()


def _commands(url: str, folder: Path) -> list[Command]:
    environment = {
        "DATABASE_URL": url,
        "SECRET_KEY": configuration.SECRET_KEY,
        "PYTHONPATH": str(report.DOCUMENT.parent.parent),
    }
    return [
        Command(LIMIT, [sys.executable, "-m", "bench.peers.limit"], environment),
        servers.doable(OURS, url, folder),
        servers.doable(SLOW, url, folder, EXECUTOR="sqlalchemy", COMPILED_ROUTES="false"),
    ]


def _measure(started: Sequence[Server], people: Sequence[Person], options: argparse.Namespace) -> Samples:
    samples: Samples = {}
    for number in range(options.rounds + 1):
        for operation in random.sample(SHOWN, len(SHOWN)):
            for server in random.sample(started, len(started)):
                if operation is operations.POST_WITH_KEY and server.name == LIMIT:
                    continue
                sample = load.run(server, Load(operation.requests(people), options.seconds if number else 0.5))
                if number:
                    samples.setdefault((operation.name, server.name), []).append(sample)
    return samples


def _print(samples: Samples, names: Sequence[str]) -> None:
    for operation in SHOWN:
        ours = samples[operation.name, OURS]
        print(f"\n{operation.name}")
        for name in names:
            taken = samples.get((operation.name, name)) or samples[operations.POST.name, name]
            cpu, rate, p50, p99, memory = (statistics.median(column) for column in zip(*taken, strict=True))
            ratio = statistics.median(one.cpu / our.cpu for one, our in zip(taken, ours, strict=True))
            print(f"  {name:40}{cpu:8.0f} µs{rate:8.0f}/s{p50:8.1f}{p99:8.1f} ms{memory / 2**20:8.0f} MB{ratio:8.2f}")


if __name__ == "__main__":
    main()
