"""Todos as rows of a CSV file that a spreadsheet opens, and takes no cell of for a formula."""

import csv
import io
from collections.abc import Iterable
from datetime import datetime

import orjson

from doable.core import clock
from doable.todos.statements import TodoRow

COLUMNS = (
    "list", "id", "parent_id", "title", "description", "priority", "completed_at", "due_date", "due_time",
    "due_timezone", "recurrence", "labels", "created_at", "deleted_at",
)  # fmt: skip
FORMULAS = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")  # noqa: RUF001 — read as formulas, too


def head() -> bytes:
    return _written([COLUMNS])


def rows(name: str, todos: Iterable[TodoRow]) -> bytes:
    return _written([(name, *_cells(row)) for row in todos])


def _cells(row: TodoRow) -> Iterable[object]:
    return (
        row.id, row.parent_id, row.title, row.description, row.priority, row.completed_at, row.due_date, row.due_time,
        row.due_timezone, row.rule, ", ".join(orjson.loads(row.labels)), row.created_at, row.deleted_at,
    )  # fmt: skip


def _written(lines: Iterable[Iterable[object]]) -> bytes:
    file = io.StringIO(newline="")
    csv.writer(file, quoting=csv.QUOTE_ALL).writerows([_cell(value) for value in line] for line in lines)
    return file.getvalue().encode()


def _cell(value: object) -> str:
    if value is None:
        return ""
    text = clock.iso(value) if isinstance(value, datetime) else str(value)
    return f"'{text}" if text.startswith(FORMULAS) else text
