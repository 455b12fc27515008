"""A template of Todoist: a CSV file with one project, whose tasks have no ids but the numbers of their rows."""

import codecs
import csv
import re
from collections.abc import Iterator
from typing import Any

import orjson

from doable.core import zones
from doable.transfer.sources import MOST_BYTES, Element, malformed, unknown

LONGEST_TITLE = 200
LONGEST_LABEL = 50
MOST_LABELS = 20
LIST_ID = 0

_DATE = re.compile(r"(\d{4}-\d\d-\d\d)(?:[ T](\d\d:\d\d)(?::00)?)?")
_LABEL = re.compile(r"(?:^|\s)@([^\s@,]+)")
_INDENT = re.compile(r"[1-9][0-9]?")


class Template:
    """Rows become todos in one list; a section is a todo above its tasks, the indent says what is above what."""

    name = "todoist"

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8-sig")()
        self._rest = ""
        self._columns: list[str] = []
        self._number = LIST_ID
        self._section: int | None = None
        self._above: list[int] = []

    def feed(self, piece: bytes) -> Iterator[Element]:
        yield from self._read(piece, final=False)

    def close(self) -> Iterator[Element]:
        yield from self._read(b"\n", final=True)
        if self._rest:
            malformed("The body is not CSV: a quoted cell has no end.")
        if not self._columns:
            unknown("The file is empty.")

    def _read(self, piece: bytes, *, final: bool) -> Iterator[Element]:
        try:
            text = self._rest + self._decoder.decode(piece, final)
        except UnicodeDecodeError:
            malformed("The body is not UTF-8.")
        record = ""
        for line in text.splitlines(keepends=True):
            record += line
            if line.endswith("\n") and record.count('"') % 2 == 0:
                yield from self._record(record)
                record = ""
            if len(record) > MOST_BYTES:
                malformed(f"A row of the file has more than {MOST_BYTES} characters.")
        self._rest = record

    def _record(self, record: str) -> Iterator[Element]:
        try:
            cells = next(csv.reader([record], strict=True), [])
        except csv.Error as error:
            malformed(f"The body is not CSV: {error}.")
        if not self._columns:
            self._columns = [cell.strip().upper() for cell in cells]
            if not {"TYPE", "CONTENT"} <= set(self._columns):
                unknown("The first row of a template of Todoist names its columns, TYPE and CONTENT among them.")
            yield _element("lists", {"id": LIST_ID, "name": "Todoist"})
            return
        self._number += 1
        row = dict(zip(self._columns, cells, strict=False))
        kind = row.get("TYPE", "").strip().lower()
        if kind in {"task", "section"}:
            yield _element("todos", {**_todo(row), **self._place(row, kind)})
        elif kind == "note":
            yield _element("todos", {"id": self._number, "refused": "Comments are not imported."})

    def _place(self, row: dict[str, str], kind: str) -> dict[str, Any]:
        if kind == "section":
            self._section, self._above = self._number, []
            parent = None
        else:
            written = row.get("INDENT", "").strip()
            indent = int(written) if _INDENT.fullmatch(written) else 1
            depth = min(indent - 1, len(self._above))
            parent = self._above[depth - 1] if depth else self._section
            self._above = [*self._above[:depth], self._number]
        return {"id": self._number, "list_id": LIST_ID, "parent_id": parent}


def _todo(row: dict[str, str]) -> dict[str, Any]:
    content, notes = row.get("CONTENT", "").strip(), [row.get("DESCRIPTION", "").strip()]
    found = {label.casefold(): label for label in _LABEL.findall(content) if len(label) <= LONGEST_LABEL}
    labels = list(found.values())[:MOST_LABELS]
    title = _LABEL.sub("", content).strip() or content
    if len(title) > LONGEST_TITLE:
        notes.insert(0, title)
        title = f"{title[: LONGEST_TITLE - 1]}…"
    due = _due(row)
    if due is None and (written := row.get("DATE", "").strip()):
        notes.append(f"Date: {written}")
    priority = row.get("PRIORITY", "").strip()
    return {
        "title": title,
        "description": "\n".join(filter(None, notes)) or None,
        "priority": int(priority) if priority in {"1", "2", "3", "4"} else 3,
        "due": due,
        "labels": labels,
    }


def _due(row: dict[str, str]) -> dict[str, str] | None:
    """What is no date, such as `every day`, is for a person to read."""
    if (found := _DATE.fullmatch(row.get("DATE", "").strip())) is None:
        return None
    due = {"date": found[1]}
    if found[2]:
        due["time"] = found[2]
        if (zone := row.get("TIMEZONE", "").strip()) in zones.NAMES:
            due["timezone"] = zone
    return due


def _element(kind: str, members: dict[str, Any]) -> Element:
    return Element(kind, orjson.dumps(members))
