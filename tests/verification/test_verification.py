"""The verification run tells what held, what fell, and what could not be tried."""

import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

from doable.cli.verify import verify
from doable.verification import dependencies, plan, programs, source, suite
from doable.verification.outcomes import Outcome, Place, State, Step, fell, held, not_run

ROOT = Path(__file__).parents[2]


@pytest.fixture
def wheel(tmp_path: Path) -> Place:
    """An installed package, without the repository."""
    return Place(None, tmp_path, quick=True)


@pytest.mark.parametrize(
    ("outcomes", "code", "conclusion"),
    [
        ([held("fine")], 0, "1 held."),
        ([held("fine"), fell("broken", "line 1\nline 2")], 1, "1 held, 1 FELL."),
        ([held("fine"), not_run("no network")], 0, "1 held, 1 could not run."),
        ([not_run("no network"), fell("broken")], 1, "1 FELL, 1 could not run."),
    ],
)
def test_what_could_not_run_is_a_third_state_and_only_what_fell_fails(
    monkeypatch: pytest.MonkeyPatch, outcomes: list[Outcome], code: int, conclusion: str
) -> None:
    steps = tuple(Step(f"step{number}", _always(outcome)) for number, outcome in enumerate(outcomes))
    monkeypatch.setattr(plan, "STEPS", steps)
    result = CliRunner().invoke(verify, [])
    assert result.exit_code == code
    table = result.stdout.splitlines()
    assert table[-1] == conclusion
    for row, outcome in zip(table[1:-1], outcomes, strict=True):
        assert outcome.state in row
        assert outcome.summary in row
        assert outcome.details in result.stderr


def test_a_step_after_one_that_fell_is_tried_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plan, "STEPS", (Step("first", _always(fell("no"))), Step("second", _always(held("yes")))))
    assert "second" in CliRunner().invoke(verify, []).stdout


def test_an_installed_package_says_of_each_step_that_it_needs_the_repository(wheel: Place) -> None:
    on_source = {"ruff", "imports", "security", "mypy", "openapi", "tests", "schemathesis", "load"}
    for step in plan.STEPS:
        if step.name in on_source:
            assert step.check(wheel) == not_run(programs.NO_CHECKOUT)
    assert {step.name for step in plan.STEPS} - on_source == {"start", "floors", "audit"}


def test_no_installed_package_is_below_its_floor(wheel: Place) -> None:
    assert dependencies.floors(wheel).state is State.HELD


def test_a_package_below_its_floor_or_one_that_is_refused_is_named_with_the_reason(
    monkeypatch: pytest.MonkeyPatch, wheel: Place
) -> None:
    old = {"pyjwt": "2.12.9", "starlette": "1.10.0", "python-jose": "3.5.0", "orjson": "3.9.15rc1"}
    monkeypatch.setattr(dependencies, "_installed", lambda: old)
    outcome = dependencies.floors(wheel)
    assert outcome.state is State.FELL
    broken = outcome.details.splitlines()
    assert [line.partition(":")[0] for line in broken] == ["pyjwt 2.12.9", "python-jose 3.5.0"]
    assert "CVE-2022-29217" in broken[0]


def test_every_floor_has_a_reason() -> None:
    for name, floor in dependencies._floors().items():
        assert floor["because"], name
        assert set(floor) <= {"least", "because"}


@pytest.mark.parametrize(
    ("code", "vulnerable", "state"),
    [
        pytest.param(1, [], State.NOT_RUN, id="no network"),
        pytest.param(0, [], State.NOT_RUN, id="a mirror without advisories"),
        pytest.param(1, [{"name": "jinja2", "version": "2.10", "vulns": [{"id": "x"}]}], State.FELL, id="it knows"),
    ],
)
def test_an_advisory_database_that_does_not_know_the_canary_is_not_believed(
    monkeypatch: pytest.MonkeyPatch, wheel: Place, code: int, vulnerable: list[object], state: State
) -> None:
    asked = []

    def ask(_place: Place, _service: str, requirements: list[str], seconds: float) -> tuple[int, list[object], str]:
        asked.append(requirements)
        assert seconds <= 20 or requirements != [dependencies.CANARY]
        return code, vulnerable, "no connection"

    monkeypatch.setattr(dependencies, "_ask", ask)
    outcome = dependencies.audit(wheel)
    assert outcome.state is state
    assert asked[0] == [dependencies.CANARY]
    if state is State.NOT_RUN:
        assert "instead: " in outcome.summary
        assert len(asked) == 2


def test_without_a_database_a_package_below_its_floor_falls(monkeypatch: pytest.MonkeyPatch, wheel: Place) -> None:
    monkeypatch.setattr(dependencies, "_ask", lambda *_: (1, [], ""))
    monkeypatch.setattr(dependencies, "_installed", lambda: {"h11": "0.14.0"})
    assert dependencies.audit(wheel).state is State.FELL


@pytest.mark.parametrize(
    ("line", "judged"),
    [
        ("assert True  # noqa: S101 — filled by these imports", True),
        ("call()  # noqa: S603, S607 — our own", True),
        ("assert True", False),
        ("assert True  # noqa: S101", False),
        ("assert True  # noqa: S105 — another rule", False),
    ],
)
def test_a_finding_is_judged_by_the_rule_and_a_reason_in_its_line(tmp_path: Path, line: str, *, judged: bool) -> None:
    file = tmp_path / "code.py"
    file.write_text(f"first\n{line}\n")
    rule = "B603" if "call" in line else "B101"
    assert source._judged(file, {"line_number": 2, "test_id": rule}) is judged


@pytest.mark.parametrize(
    ("output", "code", "state", "summary"),
    [
        ("...\n12 passed, 1 skipped in 3.20s\n", 0, State.HELD, "12 passed, 1 skipped"),
        ("===== 12 passed in 63.20s (0:01:03) =====\n", 0, State.HELD, "12 passed"),
        ("FAILED x\n1 failed, 11 passed in 3.20s\n", 1, State.FELL, "1 failed, 11 passed"),
        ("3 skipped in 0.20s\n", 0, State.NOT_RUN, "3 skipped"),
        ("ERROR: usage", 4, State.FELL, "ERROR: usage"),
        ("half", None, State.FELL, "took too long"),
    ],
)
def test_the_last_line_of_pytest_decides(output: str, code: int | None, state: State, summary: str) -> None:
    outcome = suite._judge(programs.Ended(code, output))
    assert (outcome.state, outcome.summary) == (state, summary)


def test_of_tests_that_fall_is_told_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTEST_XDIST_AUTO_NUM_WORKERS", "0")  # each costs more than the test
    (tmp_path / "tests").mkdir()
    test = "import doable\n\ndef test_name():\n    assert len(doable.__name__) == 7\n"
    (tmp_path / "tests" / "test_name.py").write_text(test)
    outcome = suite.tests(Place(tmp_path, tmp_path, quick=False))
    assert outcome.state is State.FELL
    assert re.fullmatch(r"1 failed, coverage \d+ %", outcome.summary)
    assert "assert 6 == 7" in outcome.details


def test_a_tool_that_is_not_installed_could_not_run() -> None:
    ended = programs.run(ROOT, "no-such-tool", seconds=5)
    assert programs.refused("no-such-tool", ended).state is State.NOT_RUN


def test_a_tool_that_hangs_is_ended_with_all_that_it_has_started_and_what_it_said_is_kept() -> None:
    child = "subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'])"
    hanging = f"import subprocess, sys, time; print('begun', {child}.pid, flush=True); time.sleep(60)"
    ended = programs.run(ROOT, Path(sys.executable).name, "-c", hanging, seconds=1)
    assert ended.code is None
    begun, _, _ = ended.output.partition("\n")
    assert begun.startswith("begun ")
    deadline = time.monotonic() + 10
    while _runs(int(begun.split()[1])):
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_the_settings_of_an_operator_are_not_passed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://production/doable")
    monkeypatch.setenv("rate_limit_per_minute", "1")
    assert not {"DATABASE_URL", "rate_limit_per_minute"} & programs.bare().keys()
    assert programs.bare(DATABASE_URL="sqlite:///x")["DATABASE_URL"] == "sqlite:///x"


def test_a_server_starts_on_an_empty_folder_and_stops(wheel: Place) -> None:
    start = next(step for step in plan.STEPS if step.name == "start")
    outcome = start.check(wheel)
    assert outcome.state is State.HELD, outcome


def _always(outcome: Outcome) -> Callable[[Place], Outcome]:
    return lambda _place: outcome


def _runs(pid: int) -> bool:
    """Nobody may be there to bury it."""
    shown = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False).stdout
    return bool(shown.strip()) and not shown.startswith("Z")
