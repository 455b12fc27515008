"""What a digest says."""

from collections.abc import Iterable, Sequence
from datetime import date
from typing import NamedTuple

from doable.core import letters
from doable.core.mail import Mail
from doable.digests import times
from doable.settings import Settings
from doable.todos import due as dues
from doable.todos import schedule
from doable.todos.due import Due
from doable.todos.statements import TodoRow

MOST = 100
"""Todos that are named."""


class Item(NamedTuple):
    """A todo that is due, and when, as its reader reads it where he is."""

    todo: TodoRow
    due: Due


def item(todo: TodoRow, timezone: str) -> Item | None:
    due = schedule.due_of(todo)
    return None if due is None else Item(todo, times.there(due, timezone))


def digest(settings: Settings, email: str, today: date, items: Sequence[Item]) -> Mail:
    """Where there are too many, those go that have been overdue longest."""
    named = sorted(items, key=lambda item: dues.sort_key(item.due._replace(timezone=None)))[-MOST:]
    return letters.compose(
        settings,
        email,
        f"Due on {today}",
        *_part("Today:", (item for item in named if item.due.date == today)),
        *_part("Overdue:", (item for item in named if item.due.date != today)),
        *(["And there is more."] if len(items) > MOST else []),
        "You have asked for this mail each day; your client can switch it off.",
    )


def _part(heading: str, items: Iterable[Item]) -> list[str]:
    named = [f"- {item.todo.title} ({dues.written(item.due)})" for item in items]
    return [heading, *named] if named else []
