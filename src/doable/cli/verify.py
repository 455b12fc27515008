"""`doable verify`: everything that is promised, tried on this machine."""

import click

from doable.cli import examples, tables
from doable.verification import plan
from doable.verification.outcomes import State
from doable.verification.plan import Done

_NAMES = [step.name for step in plan.STEPS]


@click.command(epilog=examples.epilog("doable verify", "doable verify --quick", "doable verify --only floors"))
@click.option("--quick", is_flag=True, help="Less of everything, in two minutes.")
@click.option(
    "--only", "names", multiple=True, type=click.Choice(_NAMES), metavar="STEP", help="Only this; again for more."
)
def verify(names: tuple[str, ...], *, quick: bool) -> None:
    """Try what is promised, and show what held.

    Format, types, tests, the document and its pages, a security linter, known vulnerabilities, random requests, and
    load. What could not be tried is named as such: it has neither held nor fallen. Most of it needs the repository,
    where `make verify` brings the tools; an installed package tries the rest. The exit code is 1 when a step fell.
    """
    steps = tuple(step for step in plan.STEPS if not names or step.name in names)
    done: list[Done] = []
    for one in plan.run(steps, quick=quick):
        done.append(one)
        click.echo(f"{one.step.name}: {one.outcome.state} ({one.seconds:.1f} s)", err=True)
        if one.outcome.details:
            click.echo(one.outcome.details, err=True)
    click.echo(tables.render(("STEP", "RESULT", "SECONDS", "WHAT"), map(_cells, done)))
    click.echo(_conclusion(done))
    if any(one.outcome.state is State.FELL for one in done):
        raise SystemExit(1)


def _cells(done: Done) -> tuple[str, ...]:
    return done.step.name, done.outcome.state, f"{done.seconds:.1f}", done.outcome.summary


def _conclusion(done: list[Done]) -> str:
    counts = {state: sum(one.outcome.state is state for one in done) for state in State}
    return ", ".join(f"{count} {state}" for state, count in counts.items() if count) + "."
