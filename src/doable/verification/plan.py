"""Which steps there are, in the order of what is cheapest to know."""

import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import doable
from doable.verification import dependencies, load, serving, source, suite
from doable.verification.outcomes import Outcome, Place, Step

STEPS = (
    Step("start", serving.starts_and_stops),
    Step("ruff", source.ruff),
    Step("imports", source.imports),
    Step("security", source.security),
    Step("floors", dependencies.floors),
    Step("audit", dependencies.audit),
    Step("mypy", source.mypy),
    Step("openapi", suite.document),
    Step("tests", suite.tests),
    Step("schemathesis", suite.random_requests),
    Step("load", load.load),
)


class Done(NamedTuple):
    step: Step
    outcome: Outcome
    seconds: float


def run(steps: tuple[Step, ...], *, quick: bool) -> Iterator[Done]:
    """Each step when it is asked for, whatever has become of those before it."""
    with tempfile.TemporaryDirectory(prefix="doable-verify-") as scratch:
        place = Place(_checkout(), Path(scratch), quick)
        for step in steps:
            begun = time.perf_counter()
            yield Done(step, step.check(place), time.perf_counter() - begun)


def _checkout() -> Path | None:
    """The repository that this package runs from."""
    root = Path(doable.__path__[0]).parents[1]
    whole = all((root / part).exists() for part in ("pyproject.toml", "tests", "src/doable"))
    return root if whole else None
