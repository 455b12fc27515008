"""What a step of the verification has to work with, and what can come of it."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path


class State(StrEnum):
    """A step that could not run has shown nothing: it is neither of the others."""

    HELD = "held"
    FELL = "FELL"
    NOT_RUN = "could not run"


@dataclass(frozen=True)
class Outcome:
    """`summary` is one line; `details`, of a step that fell, what its tool has written."""

    state: State
    summary: str
    details: str = ""


@dataclass(frozen=True)
class Place:
    """`checkout`: the folder of the repository; `None` when this is an installed package. `scratch` goes in the end."""

    checkout: Path | None
    scratch: Path
    quick: bool


@dataclass(frozen=True)
class Step:
    name: str
    check: Callable[[Place], Outcome]


def held(summary: str) -> Outcome:
    return Outcome(State.HELD, summary)


def fell(summary: str, details: str = "") -> Outcome:
    return Outcome(State.FELL, summary, details)


def not_run(why: str) -> Outcome:
    return Outcome(State.NOT_RUN, why)
