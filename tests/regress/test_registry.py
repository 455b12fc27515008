"""Each case that we know of has a test, or a reason why it cannot happen here."""

import tomllib
from pathlib import Path
from typing import Any

import pytest

from tests.support import nodes

CASES: dict[str, dict[str, Any]] = tomllib.loads((Path(__file__).parent / "cases.toml").read_text())


@pytest.mark.parametrize("case", CASES)
def test_the_case_has_tests_that_are_there_or_a_reason(case: str) -> None:
    entry = CASES[case]
    assert entry["gist"]
    assert ("tests" in entry) != ("cannot" in entry)
    missing = [node for node in entry.get("tests", ()) if not nodes.exists(node)]
    assert not missing
    assert entry.get("tests") or entry["cannot"]


def test_a_test_that_is_not_there_is_noticed() -> None:
    here = "tests/regress/test_registry.py"
    assert nodes.exists(f"{here}::test_a_test_that_is_not_there_is_noticed")
    assert not nodes.exists(f"{here}::test_that_nobody_wrote")
    assert not nodes.exists("tests/regress/test_that_nobody_wrote.py::test_it")
    assert not nodes.exists(here)


def test_no_case_is_lost() -> None:
    assert len(CASES) >= 109
