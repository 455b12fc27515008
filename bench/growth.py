"""What grows with the data, the routes and the workers, and what must not: `python -m bench.growth [--write]`.

Each line compares two cases that take turns, in an order of chance; the ratio is taken in each round, and the median of
the rounds is printed.
"""

import argparse
import asyncio
import tempfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from bench import load, operations, report, routes, servers, startup, world
from bench.comparison import Comparison, Options, at_least, at_most, compare, judged, table
from bench.load import Load, Refused, Sample
from bench.operations import PEOPLE, World, ask, request
from bench.processes import SERVER_CORE, Server
from bench.servers import Command
from bench.world import Person

EACH = 100
"""Todos of a person. There are ten people, or as many as the todos of the large database need."""
FEW = 10
SHORT, LONG = 10, 50_000
LOGINS = 20
WORKERS = 4
_MEMORY = 150


class Side(NamedTuple):
    """A server, and who asks it."""

    server: Server
    people: Sequence[Person]

    def sample(self, requests: Sequence[bytes], seconds: float) -> Sample:
        return load.run(self.server, Load(requests, seconds))


def main() -> None:
    options = _options()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=options.folder)))
        found = list(_measured(stack, folder, options))
    text = f"{report.machine()}.\n\n{table(found)}"
    print(text)
    if options.write:
        report.write("growth", text)


def _measured(stack: ExitStack, folder: Path, options: Options) -> Iterator[Comparison]:
    yield from startup.measure(folder, options)
    yield from routes.measure(options)
    yield _durable_writes(folder, options)
    postgres = stack.enter_context(world.postgres())
    few, many = (stack.enter_context(postgres.fresh()) for _ in range(2))
    people = asyncio.run(world.prepare(few, FEW, EACH))
    with _side(servers.doable("few", few, folder), people, folder) as small:
        crowd = asyncio.run(_crowd(many, options.todos))
        with _side(servers.doable("many", many, folder), crowd, folder) as large:
            yield from _todos_of_others(small, large, options)
        yield from _long_lists(small, few, options)
        yield _logins(small, options)
        yield _memory(small)  # with that of a password's hash
    yield from _workers(few, people, folder, options)


@contextmanager
def _side(
    command: Command, people: Sequence[Person], folder: Path, *, core: int | None = SERVER_CORE
) -> Iterator[Side]:
    with servers.serving(command, folder, core=core) as server:
        yield Side(server, people)


async def _crowd(url: str, count: int) -> list[Person]:
    """Ten people as in the small database, and many others with as many todos each."""
    people = await world.prepare(url, FEW, EACH)
    others = await world.fill(url, count // EACH - FEW, 0)
    for start in range(0, len(others), 1_000):
        await world.multiply(url, people[0], others[start : start + 1_000])
    await world.settle(url)
    return people


def _todos_of_others(small: Side, large: Side, options: Options) -> Iterator[Comparison]:
    makers: dict[str, Callable[[Side], list[bytes]]] = {
        "GET one": lambda side: operations.GET_ONE.requests(World(side.people, b"")),
        "GET 20 by cursor": lambda side: [_by_cursor(side.server, person, "size=20") for person in side.people],
        "GET 20 by number": lambda side: operations.GET_PAGE.requests(World(side.people, b"")),
    }
    for name, make in makers.items():
        what = f"{name}: {FEW * EACH:,} and {options.todos:,} todos"
        pair = _cpu(small, make(small), options), _cpu(large, make(large), options)
        yield compare(what, "µs of CPU", pair, options.rounds, at_most(1.2))


def _memory(side: Side) -> Comparison:
    used = side.server.usage().memory / 2**20
    return judged(Comparison("a worker's memory", "MB", used, used, 1), used, at_most(_MEMORY))


def _long_lists(side: Side, url: str, options: Options) -> Iterator[Comparison]:
    """Each is somebody's inbox; pages of five, for the short one has no more than two of them."""
    short, long = (asyncio.run(world.prepare(url, 1, count))[0] for count in (SHORT, LONG))
    makers: dict[str, Callable[[Person], bytes]] = {
        "GET 5 by cursor": lambda person: _by_cursor(side.server, person, f"list_id={person.inbox_id}&size=5"),
        "GET 5 by number": lambda person: request(person.token, "GET", f"/todos?list_id={person.inbox_id}&size=5"),
        "POST": lambda person: request(person.token, "POST", "/todos", {"title": "Buy milk"}),
    }
    for name, make in makers.items():
        what = f"{name}: a list of {SHORT} and one of {LONG:,}"
        pair = _cpu(side, [make(short)], options), _cpu(side, [make(long)], options)
        yield compare(what, "µs of CPU", pair, options.rounds)


def _by_cursor(server: Server, person: Person, query: str) -> bytes:
    """The page after the first."""
    _, page = ask(server, request(person.token, "GET", f"/todos?{query}"))
    return request(person.token, "GET", f"/todos?{query}&cursor={page['next_cursor']}")


def _workers(url: str, people: Sequence[Person], folder: Path, options: Options) -> Iterator[Comparison]:
    """On all cores, which PostgreSQL and the client need, too."""
    requests = operations.GET_ONE.requests(World(people, b""))
    one = _side(servers.doable("one", url, folder), people, folder, core=None)
    four = _side(servers.doable("four", url, folder, "--workers", str(WORKERS)), people, folder, core=None)
    with one as single, four as several:
        for unit, measured in (("requests/s", _rate), ("µs of CPU", _cpu)):
            pair = measured(single, requests, options), measured(several, requests, options)
            yield compare(f"GET one: 1 worker and {WORKERS}", unit, pair, options.rounds)


def _logins(side: Side, options: Options) -> Comparison:
    """Reads at less than half of what the server could do, so that there is time to hash in."""
    there = World(side.people, b"")
    reading = operations.GET_ONE.requests(there)
    pace = side.sample(reading, options.seconds).rate * 0.4
    reads = Load(reading, max(2.0, options.seconds), connections=8, warm_up=1.0, pace=pace)
    logins = Load(operations.LOGIN.requests(there), reads.seconds + 0.5, 8, 0.5, LOGINS)

    def quiet() -> float:
        return load.run(side.server, reads).p99

    def busy() -> float:
        with ThreadPoolExecutor() as threads:
            hashing = threads.submit(load.run, side.server, logins)
            seen = load.run(side.server, reads)
            with suppress(Refused):  # where the queue was full
                hashing.result()
        return seen.p99

    what = f"reads without and with {LOGINS} logins/s"
    return compare(what, "ms, p99", (quiet, busy), options.rounds, at_most(1.5))


def _durable_writes(folder: Path, options: Options) -> Comparison:
    """On a file of its own each, with `synchronous=FULL`, 32 clients who write to lists of their own."""
    with ExitStack() as stack:
        pair: list[Callable[[], float]] = []
        for executor in ("sqlalchemy", "native"):
            url = f"sqlite:///{folder / executor}.db"
            people = asyncio.run(world.prepare(url, PEOPLE, 1))
            command = servers.doable(executor, url, folder, EXECUTOR=executor)
            side = stack.enter_context(_side(command, people, folder))
            pair.append(_rate(side, operations.POST.requests(World(people, b"")), options))
        what = "POST on SQLite, SQLAlchemy's executor and the native one"
        return compare(what, "requests/s", (pair[0], pair[1]), options.rounds, at_least(3))


def _cpu(side: Side, requests: Sequence[bytes], options: Options) -> Callable[[], float]:
    return lambda: side.sample(requests, options.seconds).cpu


def _rate(side: Side, requests: Sequence[bytes], options: Options) -> Callable[[], float]:
    return lambda: side.sample(requests, options.seconds).rate


def _options() -> Options:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=2.0, help="of each load")
    parser.add_argument("--todos", type=int, default=1_000_000, help="in the large database")
    parser.add_argument("--folder", type=Path, default=Path.cwd(), help="on a real disk: in memory an fsync is free")
    parser.add_argument("--quick", action="store_true", help="one round, short, of little data: to see that it runs")
    parser.add_argument("--write", action="store_true", help="into docs/performance.md")
    options = parser.parse_args()
    if options.quick:
        options.rounds, options.seconds, options.todos = 1, 0.5, 10_000
    return options


if __name__ == "__main__":
    main()
