"""Actor and todo id become a row with the actor's role, or a refusal."""

from uuid import UUID

from doable.accounts.access import Actor
from doable.core.errors import AppException, Code, invalid_field, not_found
from doable.core.queries import Reader
from doable.core.streams import Seen
from doable.lists import access as lists_access
from doable.todos import statements
from doable.todos.statements import TodoRow, trees


async def visible(reader: Reader, actor: Actor, todo_id: UUID) -> TodoRow:
    """A todo, perhaps in the trash. Raises `NOT_FOUND`."""
    row = await reader.first(statements.TODO, actor_id=actor.user_id, todo_id=todo_id)
    if row is None:
        raise not_found("todo")
    return row


async def writable(reader: Reader, actor: Actor, todo_id: UUID) -> TodoRow:
    """Raises `NOT_FOUND` and `FORBIDDEN`."""
    row = await visible(reader, actor, todo_id)
    lists_access.require(row.role, lists_access.WRITERS)
    return row


async def writable_with_stream(reader: Reader, actor: Actor, todo_id: UUID) -> tuple[TodoRow, Seen | None]:
    """`writable`, and the stream of its list at that moment, `None` if it is followed."""
    found = await reader.first(statements.TODO_WITH_STREAM, actor_id=actor.user_id, todo_id=todo_id)
    if found is None:
        raise not_found("todo")
    lists_access.require(found.todo.role, lists_access.WRITERS)
    return found.todo, Seen(found.todo.list_id, found.revision) if found.followed is None else None


def refuse_trashed(row: TodoRow) -> None:
    if row.deleted_at is not None:
        raise AppException(Code.IN_TRASH, "This todo is in the trash; restore it first.")


async def refuse_assignee(reader: Reader, list_id: UUID, user_id: UUID | None) -> None:
    """Raises `VALIDATION_ERROR` for somebody who is no member of the list. True until the end of who holds its stream.

    Statements that assign ask for the same in their WHERE; this is for when they have found nothing to write.
    """
    if user_id is not None and not await reader.all(trees.MEMBERS, list_id=list_id, user_ids=[user_id]):
        raise invalid_field("body.assignee_id", "Only a member of the list can be given its todos.")
