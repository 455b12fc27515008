"""What a digest says."""

from collections.abc import Iterable, Sequence
from datetime import date

from doable.core import letters
from doable.core.mail import Mail
from doable.settings import Settings
from doable.todos import due as dues
from doable.todos import schedule
from doable.todos.statements import TodoRow

MOST = 100
"""Todos that are named."""


def digest(settings: Settings, email: str, today: date, todos: Sequence[TodoRow]) -> Mail:
    """Where there are too many, those go that have been overdue longest."""
    named = sorted(todos, key=_due)[-MOST:]
    return letters.compose(
        settings,
        email,
        f"Due on {today}",
        *_part("Today:", (todo for todo in named if todo.due_date == today.isoformat())),
        *_part("Overdue:", (todo for todo in named if todo.due_date != today.isoformat())),
        *(["And there is more."] if len(todos) > MOST else []),
        "You have asked for this mail each day; your client can switch it off.",
    )


def _due(todo: TodoRow) -> tuple[str, str]:
    """A date is over when its last time is."""
    return todo.due_date or "", todo.due_time or "24:00"


def _part(heading: str, todos: Iterable[TodoRow]) -> list[str]:
    named = [f"- {todo.title} ({_written(todo)})" for todo in todos]
    return [heading, *named] if named else []


def _written(todo: TodoRow) -> str:
    due = schedule.due_of(todo)
    return "" if due is None else dues.written(due)
