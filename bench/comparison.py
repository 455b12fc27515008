"""Two cases side by side: measured by turns, compared in each round, shown as a line of a table."""

import argparse
import random
import statistics
from collections.abc import Callable, Iterable
from typing import NamedTuple

type Options = argparse.Namespace
type Pair = tuple[Callable[[], float], Callable[[], float]]


class Aim(NamedTuple):
    bound: float
    is_most: bool


class Comparison(NamedTuple):
    """`aim` is what `ratio` has to be; an empty one is only told."""

    what: str
    unit: str
    first: float
    second: float
    ratio: float
    aim: str = ""
    met: bool | None = None


def compare(what: str, unit: str, pair: Pair, rounds: int, aim: Aim | None = None) -> Comparison:
    """The ratio of the second to the first, which both have warmed up before."""
    for measure in pair:
        measure()
    taken = [_by_turns(pair) for _ in range(rounds)]
    ratio = statistics.median(second / first for first, second in taken)
    first, second = (statistics.median(column) for column in zip(*taken, strict=True))
    return judged(Comparison(what, unit, first, second, ratio), ratio, aim)


def judged(comparison: Comparison, value: float, aim: Aim | None) -> Comparison:
    """With the aim, and whether `value` has met it."""
    if aim is None:
        return comparison
    met = value <= aim.bound if aim.is_most else value >= aim.bound
    return comparison._replace(aim=f"{'≤' if aim.is_most else '≥'} {aim.bound:g}", met=met)


def at_most(bound: float) -> Aim:
    return Aim(bound, is_most=True)


def at_least(bound: float) -> Aim:
    return Aim(bound, is_most=False)


def table(comparisons: Iterable[Comparison]) -> str:
    lines = ["| | unit | first | second | ratio | aim | |", "|---|---|---:|---:|---:|---:|---|"]
    for one in comparisons:
        verdict = {None: "", True: "met", False: "missed"}[one.met]
        numbers = f"{_short(one.first)} | {_short(one.second)} | {one.ratio:.2f}"
        lines.append(f"| {one.what} | {one.unit} | {numbers} | {one.aim} | {verdict} |")
    return "\n".join(lines)


def _by_turns(pair: Pair) -> tuple[float, float]:
    if random.random() < 0.5:  # noqa: PLR2004 — who begins
        return pair[0](), pair[1]()
    second = pair[1]()
    return pair[0](), second


def _short(number: float) -> str:
    return f"{number:,.0f}" if number >= 100 else f"{number:.2f}"  # noqa: PLR2004 — three digits
