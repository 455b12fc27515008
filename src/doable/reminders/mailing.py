"""Reminders by mail, to an address that is proved."""

from uuid import UUID

from doable.core import jobs, post
from doable.core.db import Transaction
from doable.core.jobs import Run, job
from doable.core.mail import SEND_SECONDS
from doable.reminders import mails, statements
from doable.todos import statements as todo_statements
from doable.todos.reminding import Reminded


async def remind(tx: Transaction, fact: Reminded) -> None:
    await jobs.enqueue(tx, send, fact.reminder_id)


@job("reminders.mail", queue=jobs.MAIL, limit=SEND_SECONDS + 5)
async def send(run: Run, reminder_id: UUID) -> None:
    """Made when it is sent: to whoever may see the todo then."""
    reads, settings = run.tools.db.reads, run.tools.settings
    plan = await reads.first(statements.PLAN, reminder_id=reminder_id)
    if plan is None or plan.email_verified_at is None or plan.disabled_at is not None:
        return
    todo = await reads.first(todo_statements.TODO, actor_id=plan.user_id, todo_id=plan.todo_id)
    if todo is not None:
        await post.deliver(run, mails.reminder(settings, plan.email, todo))
