"""The mails of reminders."""

from doable.core import letters, text
from doable.core.mail import Mail
from doable.settings import Settings
from doable.todos import due as dues
from doable.todos import schedule
from doable.todos.statements import TodoRow


def reminder(settings: Settings, email: str, todo: TodoRow) -> Mail:
    due = schedule.due_of(todo)
    return letters.compose(
        settings,
        email,
        f"Reminder: {text.undirected(todo.title)}",
        todo.title,
        *([] if due is None else [f"Due: {dues.written(due)}"]),
        "You have asked to be reminded of this.",
    )
