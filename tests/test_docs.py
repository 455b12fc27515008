"""Documents are artefacts: what they point at exists, what they list is complete."""

import re
from pathlib import Path

import pytest
from dotenv import dotenv_values

from doable.settings import Settings
from tests.support import documents
from tests.support.documents import ROOT

DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
DECISIONS = ROOT / "docs" / "decisions"


def links(text: str) -> list[str]:
    """Targets of inline links, outside of code."""
    prose = re.sub(r"```.*?```|`[^`\n]*`", "", text, flags=re.DOTALL)
    return re.findall(r"\]\(([^)\s]+)\)", prose)


def anchors(text: str) -> set[str]:
    """Anchors of headings as repository hosts make them."""
    headings = re.findall(r"^#+ (.+)$", re.sub(r"```.*?```", "", text, flags=re.DOTALL), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def broken_links(document: Path) -> list[str]:
    broken = []
    for link in links(document.read_text()):
        path, _, anchor = link.partition("#")
        target = document.parent / path if path else document
        if re.match(r"[a-z]+:", link):
            continue
        if not target.exists() or (anchor and anchor not in anchors(target.read_text())):
            broken.append(link)
    return broken


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_every_link_inside_the_repository_leads_somewhere(document: Path) -> None:
    assert broken_links(document) == []


def test_a_broken_link_is_noticed(tmp_path: Path) -> None:
    document = tmp_path / "a.md"
    document.write_text("# One two\n[a](#one-two) [b](b.md) [c](a.md#three) `[d](d.md)` [e](https://example.com)\n")
    assert broken_links(document) == ["b.md", "a.md#three"]


def test_readme_has_the_table_of_all_settings() -> None:
    assert documents.settings_table() in documents.README.read_text(), "run `make docs`"


def test_env_example_has_all_settings() -> None:
    assert documents.env_example() == documents.ENV_EXAMPLE.read_text(), "run `make docs`"


def test_env_example_with_every_line_switched_on_says_the_defaults(tmp_path: Path) -> None:
    file = tmp_path / ".env"
    file.write_text(re.sub(r"^#([A-Z])", r"\1", documents.env_example(), flags=re.MULTILINE))
    assert {name.lower() for name in dotenv_values(file)} == set(Settings.model_fields)
    assert Settings(_env_file=file) == Settings(_env_file=None)


def test_every_setting_has_a_description() -> None:
    assert [name for name, field in Settings.model_fields.items() if not field.description] == []


def test_every_decision_is_listed() -> None:
    listed = set(links((DECISIONS / "README.md").read_text()))
    assert {path.name for path in DECISIONS.glob("[0-9]*.md")} <= listed


def test_every_make_target_is_documented() -> None:
    makefile = (ROOT / "Makefile").read_text()
    targets = set(re.findall(r"^([a-z-]+):", makefile, flags=re.MULTILINE))
    explained = set(re.findall(r"^([a-z-]+):.*## \S", makefile, flags=re.MULTILINE))
    assert targets == explained
