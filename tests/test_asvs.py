"""Every requirement of OWASP ASVS 5.0 that was selected is shown by something that is there."""

import re
import tomllib
from pathlib import Path

import pytest

from tests.support import nodes

ROOT = Path(__file__).parent.parent
SHOWN: dict[str, list[str]] = tomllib.loads((ROOT / "tests" / "asvs.toml").read_text())
SELECTED = re.findall(
    r"[\d.]+",
    """
1.2.1 1.2.2 1.2.3 1.2.4 1.2.5 1.3.2 1.5.1 2.1.1 2.2.1 2.2.2 2.3.1 3.2.1 3.3.1 3.4.1 3.4.2 3.5.1 3.5.2 3.5.3 4.1.1
4.4.1 5.2.1 5.3.2 6.1.1 6.2.1 6.2.2 6.2.3 6.2.4 6.2.5 6.2.8 6.3.1 6.3.2 6.4.1 6.4.2 7.2.1 7.2.2 7.2.3 7.2.4 7.4.1
7.4.2 8.1.1 8.2.1 8.2.2 8.3.1 9.1.1 9.1.2 9.1.3 9.2.1 11.4.1 12.1.1 12.2.1 13.4.1 14.2.1 15.1.1 15.2.1 15.3.1 1.1.1
1.2.9 1.3.3 1.3.6 1.3.7 1.3.10 1.3.11 1.4.2 1.5.2 2.1.3 2.2.3 2.3.2 2.3.3 2.3.4 2.4.1 3.3.2 3.3.3 3.3.4 3.4.3 3.4.4
3.4.5 3.4.6 3.7.2 4.1.2 4.1.3 4.2.1 4.4.2 4.4.3 4.4.4 6.1.2 6.1.3 6.2.9 6.2.10 6.2.11 6.2.12 6.3.4 6.4.3 6.5.1 6.5.2
6.5.3 6.5.5 6.6.2 6.6.3 7.1.1 7.1.2 7.3.1 7.3.2 7.4.3 7.4.5 7.5.1 7.5.2 8.1.2 8.2.3 8.4.1 9.2.2 9.2.3 11.1.1 11.1.2
11.2.2 11.2.3 11.4.2 11.4.3 11.5.1 12.3.1 12.3.2 13.1.1 13.2.2 13.2.3 13.2.4 13.2.5 13.3.1 13.4.2 13.4.4 13.4.5
14.1.1 14.2.2 14.2.4 14.3.2 15.1.2 15.1.3 15.2.2 15.2.3 15.3.2 15.3.3 15.3.4 15.3.5 15.3.7 16.1.1 16.2.1 16.2.2
16.2.4 16.2.5 16.3.1 16.3.2 16.3.3 16.3.4 16.4.1 16.5.1 16.5.2 16.5.3
""",
)
ELSEWHERE = {"6.3.3", "16.4.3"}
"""Not selected, because it is known that they are not met."""


def test_every_selected_requirement_has_an_entry_and_no_other() -> None:
    assert len(SELECTED) == len(set(SELECTED)) == 155
    assert SHOWN.keys() == {*SELECTED, *ELSEWHERE}


@pytest.mark.parametrize("requirement", SHOWN)
def test_what_shows_a_requirement_is_there(requirement: str) -> None:
    assert SHOWN[requirement]
    for shown in SHOWN[requirement]:
        assert _is_there(requirement, shown), shown


def test_what_is_not_there_is_noticed() -> None:
    assert _is_there("6.3.3", "gap")
    assert not _is_there("1.2.1", "gap")
    assert _is_there("1.2.1", "SECURITY.md:Conscious gaps")
    assert not _is_there("1.2.1", "SECURITY.md:Nothing of the kind")
    assert not _is_there("1.2.1", "NOWHERE.md:Conscious gaps")
    assert not _is_there("1.2.1", "tests/test_asvs.py::test_that_nobody_wrote")


def _is_there(requirement: str, shown: str) -> bool:
    if shown == "deployment":
        return True
    if shown == "gap":
        return re.search(rf"\b{re.escape(requirement)}\b", (ROOT / "SECURITY.md").read_text()) is not None
    if "::" in shown:
        return nodes.exists(shown)
    document, _, section = shown.partition(":")
    heading = re.compile(rf"^(#+ {re.escape(section)}|\[{re.escape(section)}\])$", re.MULTILINE)
    return (ROOT / document).is_file() and heading.search((ROOT / document).read_text()) is not None
