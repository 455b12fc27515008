"""Rows as the wire shows them, in answers and in events alike."""

from doable.todos.schemas import TodoResponse
from doable.todos.statements import TodoRow


def shown(row: TodoRow) -> TodoResponse:
    """The whole shape, though subtasks, due dates, labels and assignees cannot be given yet: no todo has any."""
    values = row._asdict()
    del values["role"], values["title_key"]
    return TodoResponse(
        **values,
        completed=row.completed_at is not None,
        parent_id=None,
        due=None,
        recurrence=None,
        labels=[],
        assignee_id=None,
    )
