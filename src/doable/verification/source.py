"""Steps that read the source: format, lint, types, direction of imports, and what a security linter finds."""

import json
import re
from pathlib import Path

from doable.verification import programs
from doable.verification.outcomes import Outcome, Place, fell, held
from doable.verification.programs import needs_checkout

_MINUTES = 60.0


@needs_checkout
def ruff(_place: Place, checkout: Path) -> Outcome:
    for arguments in (("format", "--check"), ("check",)):
        ended = programs.run(checkout, "ruff", *arguments, seconds=2 * _MINUTES)
        if ended.code != 0:
            return programs.refused("ruff", ended)
    return held("formatted, and no rule broken")


@needs_checkout
def mypy(_place: Place, checkout: Path) -> Outcome:
    ended = programs.run(checkout, "mypy", seconds=10 * _MINUTES)
    return held(ended.last_line) if ended.code == 0 else programs.refused("mypy", ended)


@needs_checkout
def imports(_place: Place, checkout: Path) -> Outcome:
    ended = programs.run(checkout, "lint-imports", "--no-cache", seconds=2 * _MINUTES)
    return held(ended.last_line) if ended.code == 0 else programs.refused("lint-imports", ended)


@needs_checkout
def security(place: Place, checkout: Path) -> Outcome:
    """Bandit's findings that nobody has judged. A judgement is a `noqa` with ruff's rule of the same number.

    That a program is imported with which others are started (B404) says nothing; each start is judged (B603).
    """
    report = place.scratch / "bandit.json"
    arguments = ("--quiet", "--recursive", "--skip", "B404", "--format", "json", "--output", str(report), "src")
    ended = programs.run(checkout, "bandit", *arguments, seconds=5 * _MINUTES)
    if not report.exists():
        return programs.refused("bandit", ended)
    found = json.loads(report.read_text())
    if found["errors"]:
        return fell("bandit could not read a file", json.dumps(found["errors"], indent=2))
    open_ones = [one for one in found["results"] if not _judged(checkout / one["filename"], one)]
    lines = [f"{one['filename']}:{one['line_number']}: {one['test_id']} {one['issue_text']}" for one in open_ones]
    if lines:
        return fell(f"{len(lines)} findings that nobody has judged", "\n".join(lines))
    return held(f"{len(found['results'])} findings, each judged in its line")


def _judged(file: Path, finding: dict[str, object]) -> bool:
    lines = file.read_text().splitlines()
    number = int(str(finding["line_number"])) - 1
    rule = str(finding["test_id"]).replace("B", "S")
    return re.search(rf"# noqa: [^—#]*\b{rule}\b.* — \S", lines[number]) is not None
