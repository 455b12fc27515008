"""CPU of a server for each request: Doable, what bounds it, and its peers: `python -m bench.requests [--write]`.

All serve the same rows of one PostgreSQL, which is on the core of those who ask. In every round each server gets each
operation once, in an order of chance; ratios are taken in each round, and their medians are printed.
"""

import argparse
import asyncio
import random
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from bench import contestants, equality, load, operations, plot, report, results, servers, world
from bench.operations import PEOPLE, World
from bench.processes import Server
from bench.results import Samples

_ALONE = contestants.OURS, contestants.LIMIT


def main() -> None:
    options = _options()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        url = stack.enter_context(stack.enter_context(world.postgres()).fresh())
        people = asyncio.run(world.prepare(url, options.people, options.todos))
        commands = [one for one in contestants.commands(url, folder) if options.peers or one.name in _ALONE]
        started = [stack.enter_context(servers.serving(one, folder)) for one in commands]
        ours = next(server for server in started if server.name == contestants.OURS)
        there = World(people, operations.behind(ours, people[PEOPLE]))
        equality.check([ours, *(server for server in started if server is not ours)], there)
        samples = measure(started, there, options)
    text = results.document(samples, contestants.missing(), options)
    print(text)
    if options.write:
        report.write("requests", text)
        plot.draw(samples, report.DOCUMENT.with_suffix(".svg"))


def measure(started: Sequence[Server], there: World, options: argparse.Namespace) -> Samples:
    """Every server gets the same in every round. Raises `load.Refused` where one does not answer with 2xx."""
    samples: Samples = {}
    for number in range(0 if options.warm_up else 1, options.rounds + 1):
        chosen = [*operations.SHOWN, *(operations.OTHERS if number <= options.others else ())]
        for operation in random.sample(chosen, len(chosen)):
            for server in random.sample(started, len(started)):
                if operation.of is None or server.name in operation.of:
                    sample = load.run(server, operation.load(there, options.seconds if number else options.warm_up))
                    if number:
                        samples.setdefault((operation.name, server.name), []).append(sample)
    return samples


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--others", type=int, default=2, help="rounds of operations that no target speaks of")
    parser.add_argument("--seconds", type=float, default=2.0, help="of each load")
    parser.add_argument("--warm-up", type=float, default=1.0, help="seconds of a load in a round that does not count")
    parser.add_argument("--people", type=int, default=1000)
    parser.add_argument("--todos", type=int, default=100, help="of each person")
    parser.add_argument("--alone", dest="peers", action="store_false", help="Doable and the limit, and no others")
    parser.add_argument("--quick", action="store_true", help="one round, short, of little data: to see that it runs")
    parser.add_argument("--write", action="store_true", help="into docs/performance.md and docs/performance.svg")
    options = parser.parse_args()
    if options.quick:
        options.rounds, options.others, options.people = 1, 1, PEOPLE + 1
        options.seconds, options.warm_up = 0.5, 0.5
    return options


if __name__ == "__main__":
    main()
