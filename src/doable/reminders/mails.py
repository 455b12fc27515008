"""The mails of reminders."""

from doable.core import letters
from doable.core.mail import Mail
from doable.settings import Settings
from doable.todos import schedule
from doable.todos.due import Due
from doable.todos.statements import TodoRow


def reminder(settings: Settings, email: str, todo: TodoRow) -> Mail:
    due = schedule.due_of(todo)
    return letters.compose(
        settings,
        email,
        f"Reminder: {todo.title}",
        todo.title,
        *([] if due is None else [f"Due: {_written(due)}"]),
        "You have asked to be reminded of this.",
    )


def _written(due: Due) -> str:
    parts = [f"{due.date}", "" if due.time is None else f"{due.time:%H:%M}", due.timezone or ""]
    return " ".join(filter(None, parts))
