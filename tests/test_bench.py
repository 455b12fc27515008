"""The benchmarks run, and compare nothing that is not comparable. How fast anything is, no test says."""

import argparse
import importlib
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import pytest

from bench import contestants, equality, load, operations, plot, requests, results, servers, world
from bench.contestants import LIMIT, OURS
from bench.load import Load, Refused
from bench.operations import PEOPLE, World, request
from bench.processes import Server
from tests.support import blocking
from tests.support.databases import Migrated
from tests.support.postgres import Postgres

# Who imports Locust gets other threads and sockets; `doable verify` runs that file.
MODULES = sorted({file.stem for file in Path(contestants.__file__).parent.glob("*.py")} - {"locustfile"})
# One worker of pytest starts the servers, once.
pytestmark = [pytest.mark.slow, pytest.mark.timeout(180), pytest.mark.xdist_group("bench")]


class Contest(NamedTuple):
    """Doable and the limit on one database, and the limit on another one with other rows."""

    ours: Server
    limit: Server
    elsewhere: Server
    world: World


@pytest.fixture(scope="module")
def contest(postgres: Postgres, migrated: Migrated, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Contest]:
    folder = tmp_path_factory.mktemp("bench")
    with ExitStack() as stack:
        url, other = (stack.enter_context(postgres.fresh(migrated.template)) for _ in range(2))
        people = blocking.run(world.fill(url, PEOPLE + 1, 25))
        commands = {command.name: command for command in contestants.commands(url, folder)}
        limited = commands[LIMIT]
        environment = {**limited.environment, "DATABASE_URL": other}
        commands["elsewhere"] = limited._replace(name="elsewhere", environment=environment)
        ours, limit, elsewhere = (
            stack.enter_context(servers.serving(commands[name], folder)) for name in (OURS, LIMIT, "elsewhere")
        )
        yield Contest(ours, limit, elsewhere, World(people, operations.behind(ours, people[PEOPLE])))


@pytest.mark.parametrize("name", MODULES)
def test_a_benchmark_can_be_imported(name: str) -> None:
    importlib.import_module(f"bench.{name}")


def test_requests_are_measured_and_shown(contest: Contest, tmp_path: Path) -> None:
    options = argparse.Namespace(rounds=1, others=0, seconds=0.2, warm_up=0.0, people=PEOPLE + 1, todos=25)
    started = [contest.ours, contest.limit]
    equality.check(started, contest.world)
    samples = requests.measure(started, contest.world, options)
    assert {name for name, server in samples if server == OURS} == {operation.name for operation in operations.SHOWN}
    assert all(one.rate > 0 and one.memory > 0 for taken in samples.values() for one in taken)
    shown = results.document(samples, ["Fastify: no Node"], options)
    assert "| GET one | the limit | " in shown
    assert "Not measured: Fastify: no Node." in shown
    plot.draw(samples, tmp_path / "plot.svg")
    assert LIMIT in (tmp_path / "plot.svg").read_text()


@pytest.mark.parametrize("operation", operations.OTHERS, ids=lambda operation: operation.name)
def test_what_has_no_target_is_answered(contest: Contest, operation: operations.Operation) -> None:
    assert load.run(contest.ours, operation.load(contest.world, 0.1)).rate > 0


def test_who_answers_other_rows_is_not_compared(contest: Contest) -> None:
    with pytest.raises(equality.Unequal, match="elsewhere"):
        equality.check([contest.ours, contest.elsewhere], contest.world)


def test_an_answer_that_is_no_success_ends_the_measurement(contest: Contest) -> None:
    asked = request("", "GET", f"/todos/{contest.world.people[0].todo_ids[0]}")
    with pytest.raises(Refused, match="401"):
        load.run(contest.ours, Load([asked], 0.2, 2))
    assert load.run(contest.ours, Load([asked], 0.2, 2, refusals=True)).rate > 0


def test_a_pace_is_kept(contest: Contest) -> None:
    asked = operations.GET_ONE.requests(contest.world)
    assert load.run(contest.limit, Load(asked, 1.0, 2, pace=20)).rate < 40  # and not as fast as it can
