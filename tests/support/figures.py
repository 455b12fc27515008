"""The table of docs/guarantees.md, written by `make faults`: what each fault has cost."""

import os
import re
from collections.abc import Iterable

from bench.report import machine
from tests.support.documents import ROOT
from tests.support.oracle import Verdict

DOCUMENT = ROOT / "docs" / "guarantees.md"
PROPERTY = "row of figures"
"""Under which a test hands them over."""
BEGIN = "<!-- faults: written by `make faults` -->"
END = "<!-- end of faults -->"
HEAD = ("fault", "set-up", "acknowledged", "lost", "doubled", "asked again", "recovery", "slowest request", "note")

type Cells = tuple[str, ...]


def cells(name: str, setup: str, verdict: Verdict | None, recovery: float | None, note: str) -> Cells:
    written: Cells = ("", "", "", "", "")
    if verdict is not None:
        counts = (verdict.acknowledged, len(verdict.lost), len(verdict.doubled), verdict.unanswered)
        written = (*map(str, counts), f"{verdict.slowest:.2f} s")
        note = f"{note}; {verdict.repeated} mails or webhooks came twice" if verdict.repeated else note
    back = "" if recovery is None else f"{recovery:.2f} s"
    return (name, setup, *written[:4], back, written[4], note.removeprefix("; "))


def order(row: Cells) -> tuple[int, Cells]:
    """By the number of the fault."""
    return int(re.findall(r"\d+", row[0])[0]), row


def table(rows: Iterable[Cells]) -> str:
    lines = ["| " + " | ".join(row) + " |" for row in (HEAD, *rows)]
    return "\n".join([lines[0], "|" + "---|" * len(HEAD), *lines[1:]])


def write(text: str) -> None:
    before, _, rest = DOCUMENT.read_text().partition(BEGIN)
    DOCUMENT.write_text(
        f"{before}{BEGIN}\n{machine()}, load {os.getloadavg()[1]:.0f}\n\n{text}\n{END}{rest.partition(END)[2]}"
    )
