"""What was measured, as Markdown: what was aimed at, and everything."""

import argparse
import statistics
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from bench import operations, report
from bench.contestants import FASTIFY, LIMIT, OURS, PLAIN, TEMPLATE
from bench.load import CONNECTIONS, Sample
from bench.operations import GET_ONE, GET_PAGE, POST, POST_WITH_KEY, Operation
from bench.processes import CLIENT_CORE, SERVER_CORE

type Samples = dict[tuple[str, str], list[Sample]]


class Ratio(NamedTuple):
    """CPU of another for each that Doable needs: the median of the rounds, and the extremes."""

    median: float
    least: float
    most: float


class Target(NamedTuple):
    """`beside`: what the other does meanwhile, where it has nothing of the kind."""

    operation: Operation
    other: str
    at_least: float
    beside: Operation | None = None


TARGETS = (
    Target(GET_ONE, LIMIT, 0.75),
    Target(GET_ONE, TEMPLATE, 12),
    Target(GET_ONE, PLAIN, 4),
    Target(GET_ONE, FASTIFY, 0.8),
    Target(GET_PAGE, LIMIT, 0.7),
    Target(GET_PAGE, TEMPLATE, 8),
    Target(GET_PAGE, PLAIN, 3),
    Target(GET_PAGE, FASTIFY, 0.7),
    Target(POST, LIMIT, 0.4),
    Target(POST, TEMPLATE, 6),
    Target(POST, PLAIN, 3),
    Target(POST, FASTIFY, 0.5),
    Target(POST_WITH_KEY, LIMIT, 0.3, POST),
    Target(POST_WITH_KEY, TEMPLATE, 5, POST),
    Target(POST_WITH_KEY, PLAIN, 3),
)
_EXPLANATION = """\
CPU is what `/proc` says of all processes of a server, for each request; the ratio is what another one needs for each
that Doable needs. The servers share core {server} and are asked one at a time; who asks ({connections} connections that
never pause) and PostgreSQL are on core {client}, which limits the rates. There are {todos:,} todos. Medians of
rounds of {seconds:g} s: {rounds}, and {others} for what has no aim. Doable checks the session, limits, counts and logs
each request, and a write makes its event; the limit is one bare statement behind the token (two for a page and its
total); peers look for the user, do the same to the row, log nothing, count nothing and make no event.
"""


def ratio(samples: Samples, operation: Operation, other: str, beside: Operation | None = None) -> Ratio | None:
    """Taken in each round, whose moments are alike; `None` where one of the two was not measured."""
    ours = samples.get((operation.name, OURS))
    others = samples.get(((beside or operation).name, other))
    if not ours or not others:
        return None
    ratios = [theirs.cpu / our.cpu for our, theirs in zip(ours, others, strict=True)]
    return Ratio(statistics.median(ratios), min(ratios), max(ratios))


def document(samples: Samples, missing: Sequence[str], options: argparse.Namespace) -> str:
    numbers = {"todos": options.people * options.todos, "rounds": options.rounds, "others": options.others}
    explained = _EXPLANATION.format(
        server=SERVER_CORE, client=CLIENT_CORE, connections=CONNECTIONS, seconds=options.seconds, **numbers
    )
    parts = [f"{report.machine()}.\n\n{explained}", *(f"Not measured: {one}." for one in missing)]
    parts += ["![CPU of a request](performance.svg)", "\n".join(_targets(samples)), "\n".join(_everything(samples))]
    return "\n\n".join(part.strip() for part in parts)


def _targets(samples: Samples) -> Iterator[str]:
    yield "| operation | against | ratio | rounds | aim | |"
    yield "|---|---|---:|---:|---:|---|"
    for target in TARGETS:
        found = ratio(samples, target.operation, target.other, target.beside)
        if found is None:
            yield f"| {target.operation.name} | {target.other} | | | ≥ {target.at_least:g} | not measured |"
            continue
        verdict = "met" if found.median >= target.at_least else "missed"
        against = f"{target.other}{f', {target.beside.name}' if target.beside else ''}"
        rounds = f"{_short(found.least)} to {_short(found.most)}"
        shown = f"{_short(found.median)} | {rounds} | ≥ {target.at_least:g}"
        yield f"| {target.operation.name} | {against} | {shown} | {verdict} |"


def _everything(samples: Samples) -> Iterator[str]:
    yield "| operation | server | CPU µs | ratio | requests/s | p50 ms | p99 ms | RSS MB |"
    yield "|---|---|---:|---:|---:|---:|---:|---:|"
    for operation in (*operations.SHOWN, *operations.OTHERS):
        for (name, server), taken in samples.items():
            if name == operation.name:
                yield _row(operation, server, taken, ratio(samples, operation, server))


def _row(operation: Operation, server: str, taken: Sequence[Sample], found: Ratio | None) -> str:
    cpu, rate, p50, p99, memory = (statistics.median(column) for column in zip(*taken, strict=True))
    shown = "" if found is None else _short(found.median)
    times = f"{cpu:.0f} | {shown} | {rate:.0f} | {p50:.1f} | {p99:.1f}"
    return f"| {operation.name} | {server} | {times} | {memory / 2**20:.0f} |"


def _short(number: float) -> str:
    return f"{number:.2f}" if number < 10 else f"{number:.1f}"  # noqa: PLR2004 — three digits
