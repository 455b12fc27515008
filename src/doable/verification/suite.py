"""Steps that run the tests: all of them with coverage, the document and the pages in a browser, random requests."""

import json
import re
from pathlib import Path

from doable.verification import programs
from doable.verification.outcomes import Outcome, Place, fell, held, not_run
from doable.verification.programs import Ended, needs_checkout

_MINUTES = 60.0
_LONGEST = 120.0
"""Minutes for all tests, on a machine that has other things to do. Each of them has a limit of its own."""
_QUICK = (
    "tests/accounts/test_login.py",
    "tests/accounts/test_principal.py",
    "tests/lists/test_lists.py",
    "tests/todos/test_todos.py",
    "tests/core/test_types.py",
    "tests/core/http/test_body.py",
    "tests/core/http/test_transaction.py",
    "tests/regress",
    "tests/verification",
    "tests/test_asvs.py",
)
_DOCUMENT = ("tests/test_openapi.py", "tests/core/http/test_docs.py")
_EXAMPLES = 40
_ALONE = ("-n", "0")
"""For a few tests: each worker that is started costs as much as many of them."""


@needs_checkout
def tests(place: Place, checkout: Path) -> Outcome:
    if place.quick:
        chosen = ("-m", "not slow and not browser", "-k", "not postgresql", *_QUICK)
        return _judge(_pytest(checkout, *chosen, minutes=5), " (a choice, on SQLite, without coverage)")
    counted = {"COVERAGE_FILE": str(place.scratch / "coverage"), "COVERAGE_CORE": "sysmon"}
    report = place.scratch / "coverage.json"
    ended = _pytest(checkout, "--cov=doable", f"--cov-report=json:{report}", minutes=_LONGEST, **counted)
    return _judge(ended, f", coverage {_covered(report)}")


@needs_checkout
def document(place: Place, checkout: Path) -> Outcome:
    """The committed OpenAPI document is the present one, and `/docs` shows it in a browser."""
    if place.quick:
        return _judge(_pytest(checkout, *_ALONE, *_DOCUMENT, minutes=10), " (without a browser)")
    ended = _pytest(checkout, *_DOCUMENT, "tests/browser", minutes=10)
    outcome = _judge(ended)
    skipped = re.search(r"SKIPPED .*?(no Chromium.*)", ended.output)
    return not_run(f"the document holds; /docs was not opened: {skipped[1]}") if skipped else outcome


@needs_checkout
def random_requests(place: Place, checkout: Path) -> Outcome:
    """Schemathesis: requests made from the document, alone and one after the other, by two people."""
    amount = (*_ALONE, "-k", "otherwise") if place.quick else (f"--examples={_EXAMPLES}",)
    return _judge(_pytest(checkout, *amount, "tests/test_schemathesis.py", minutes=15))


def _covered(report: Path) -> str:
    if not report.exists():
        return "unknown"
    return f"{json.loads(report.read_text())['totals']['percent_covered_display']} %"


def _pytest(checkout: Path, *arguments: str, minutes: float, **environment: str) -> Ended:
    output = ("-q", "--color=no", "--tb=short", "--show-capture=no")
    arguments = (*output, "-n", "auto", "--dist", "loadgroup", *arguments)  # the last `-n` counts
    return programs.run(checkout, "pytest", *arguments, seconds=minutes * _MINUTES, **environment)


def _judge(ended: Ended, more: str = "") -> Outcome:
    counts = re.search(r"^(?:=+ )?(\d+ .*?) in [\d.]+s", ended.output, re.MULTILINE)
    if ended.code == 0 and counts:
        return held(counts[1] + more) if "passed" in counts[1] else not_run(counts[1])
    if counts:
        return fell(counts[1] + more, ended.tail)
    return programs.refused("pytest", ended)
