"""docs/guarantees.md promises nothing that has no test."""

import re

import pytest

from tests.support import figures
from tests.support.documents import ROOT

NODE = re.compile(r"`(tests/[\w/]+\.py)(?:::(\w+))?`")
PROMISES = re.findall(r"^\| (R\d+) \|(.*)$", figures.DOCUMENT.read_text().partition("## Faults")[0], re.MULTILINE)


@pytest.mark.parametrize("node", sorted(set(NODE.findall(figures.DOCUMENT.read_text()))), ids="::".join)
def test_a_test_that_is_named_exists(node: tuple[str, str]) -> None:
    file, name = node
    assert re.search(rf"^(async )?def {name or 'test_'}", (ROOT / file).read_text(), re.MULTILINE)


def test_every_promise_has_tests() -> None:
    assert [name for name, _ in PROMISES] == [f"R{n}" for n in range(1, 11)]
    assert all(NODE.search(text) for _, text in PROMISES)


def test_every_fault_that_is_done_has_its_figures_or_is_named_as_having_none() -> None:
    files = (ROOT / "tests" / "faults").glob("test_*.py")
    done = {f"F{n}" for file in files for n in re.findall(r"def test_f(\d+)", file.read_text())}
    text = figures.DOCUMENT.read_text()
    measured = set(re.findall(r"^\| (F\d+) ", text.partition(figures.BEGIN)[2].partition(figures.END)[0], re.MULTILINE))
    named = set(re.findall(r"F\d+", text.partition("Not measured yet:")[2].partition("\n\n")[0]))
    assert done == measured | named, "run `make faults`"
    assert not measured & named
