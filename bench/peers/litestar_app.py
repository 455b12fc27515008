"""Litestar with advanced-alchemy: async repositories on asyncpg, JWTAuth that asks for the user, structs out."""

import json
import os
from collections.abc import AsyncGenerator
from datetime import UTC, datetime
from typing import Annotated, Any, ClassVar
from uuid import UUID

import msgspec
import uvicorn
from advanced_alchemy.base import DefaultBase
from advanced_alchemy.extensions.litestar import (
    AsyncSessionConfig,
    EngineConfig,
    SQLAlchemyAsyncConfig,
    SQLAlchemyPlugin,
)
from advanced_alchemy.filters import LimitOffset
from advanced_alchemy.repository import SQLAlchemyAsyncRepository
from advanced_alchemy.service import SQLAlchemyAsyncRepositoryService
from litestar import Controller, Litestar, Request, get, patch, post
from litestar.connection import ASGIConnection
from litestar.di import Provide
from litestar.exceptions import NotFoundException
from litestar.security.jwt import JWTAuth, Token
from sqlalchemy import DateTime, Select, Text, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, mapped_column

from doable.core.ids import new_id

Instant = DateTime(timezone=True)


def _now() -> datetime:
    return datetime.now(UTC)


class User(DefaultBase):
    __tablename__ = "users"
    id: Mapped[UUID] = mapped_column(primary_key=True)
    username: Mapped[str]
    is_admin: Mapped[bool]
    timezone: Mapped[str]
    inbox_id: Mapped[UUID]
    disabled_at: Mapped[datetime | None] = mapped_column(Instant)
    deleted_at: Mapped[datetime | None] = mapped_column(Instant)


class List(DefaultBase):
    __tablename__ = "lists"
    id: Mapped[UUID] = mapped_column(primary_key=True)
    archived_at: Mapped[datetime | None] = mapped_column(Instant)
    deleted_at: Mapped[datetime | None] = mapped_column(Instant)


class Member(DefaultBase):
    __tablename__ = "members"
    list_id: Mapped[UUID] = mapped_column(primary_key=True)
    user_id: Mapped[UUID] = mapped_column(primary_key=True)
    role: Mapped[str]


class Todo(DefaultBase):
    __tablename__ = "todos"
    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    list_id: Mapped[UUID]
    parent_id: Mapped[UUID | None]
    position: Mapped[str] = mapped_column(default=lambda: new_id().hex)
    title: Mapped[str]
    title_key: Mapped[str]
    description: Mapped[str | None]
    priority: Mapped[int]
    completed_at: Mapped[datetime | None] = mapped_column(Instant)
    due_date: Mapped[str | None]
    due_time: Mapped[str | None]
    due_timezone: Mapped[str | None]
    due_at: Mapped[datetime | None] = mapped_column(Instant)
    rule: Mapped[str | None]
    basis: Mapped[str | None]
    done: Mapped[int] = mapped_column(default=0)
    labels: Mapped[str] = mapped_column(Text, default="[]")
    assignee_id: Mapped[UUID | None]
    created_by: Mapped[UUID]
    created_at: Mapped[datetime] = mapped_column(Instant, default=_now)
    updated_at: Mapped[datetime] = mapped_column(Instant, default=_now)
    deleted_at: Mapped[datetime | None] = mapped_column(Instant)
    version: Mapped[int] = mapped_column(default=1)


class Due(msgspec.Struct):
    date: str
    time: str | None
    timezone: str | None
    at: datetime | None


class Recurrence(msgspec.Struct):
    rule: str
    basis: str
    done: int


class TodoOut(msgspec.Struct):
    id: UUID
    list_id: UUID
    parent_id: UUID | None
    position: str
    title: str
    description: str | None
    priority: int
    completed: bool
    completed_at: datetime | None
    due: Due | None
    recurrence: Recurrence | None
    labels: list[str]
    assignee_id: UUID | None
    created_by: UUID
    created_at: datetime
    updated_at: datetime
    deleted_at: datetime | None
    version: int


class Page(msgspec.Struct):
    items: list[TodoOut]
    page: int
    size: int
    total: int


Title = Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
Description = Annotated[str, msgspec.Meta(max_length=10_000)]
Priority = Annotated[int, msgspec.Meta(ge=1, le=5)]


class TodoCreate(msgspec.Struct, forbid_unknown_fields=True):
    title: Title
    description: Description | None = None
    priority: Priority = 3


class TodoUpdate(msgspec.Struct, forbid_unknown_fields=True):
    title: Title | msgspec.UnsetType = msgspec.UNSET
    description: Description | msgspec.UnsetType | None = msgspec.UNSET
    priority: Priority | msgspec.UnsetType = msgspec.UNSET


class TodoService(SQLAlchemyAsyncRepositoryService[Todo]):
    class Repository(SQLAlchemyAsyncRepository[Todo]):
        model_type = Todo

    repository_type = Repository


alchemy = SQLAlchemyAsyncConfig(
    connection_string=os.environ["DATABASE_URL"].replace("postgresql:", "postgresql+asyncpg:"),
    session_config=AsyncSessionConfig(expire_on_commit=False),
    engine_config=EngineConfig(pool_size=32),
    before_send_handler="autocommit",
)


async def retrieve_user(token: Token, connection: ASGIConnection[Any, Any, Any, Any]) -> User | None:
    session = alchemy.provide_session(connection.app.state, connection.scope)
    user = await session.get(User, UUID(token.sub))
    return user if user is not None and user.disabled_at is None and user.deleted_at is None else None


async def provide_todos(db_session: AsyncSession) -> AsyncGenerator[TodoService, None]:
    async with TodoService.new(session=db_session) as service:
        yield service


def _seen_by(user: User) -> Select[tuple[Todo]]:
    return (
        select(Todo)
        .join(Member, Member.list_id == Todo.list_id)
        .join(List, List.id == Todo.list_id)
        .where(Member.user_id == user.id, List.deleted_at.is_(None))
    )


def _shown(row: Todo) -> TodoOut:
    due = None if row.due_date is None else Due(row.due_date, row.due_time, row.due_timezone, row.due_at)
    return TodoOut(
        id=row.id,
        list_id=row.list_id,
        parent_id=row.parent_id,
        position=row.position,
        title=row.title,
        description=row.description,
        priority=row.priority,
        completed=row.completed_at is not None,
        completed_at=row.completed_at,
        due=due,
        recurrence=None if row.rule is None else Recurrence(row.rule, row.basis or "due", row.done),
        labels=json.loads(row.labels),
        assignee_id=row.assignee_id,
        created_by=row.created_by,
        created_at=row.created_at,
        updated_at=row.updated_at,
        deleted_at=row.deleted_at,
        version=row.version,
    )


class TodoController(Controller):
    path = "/api/v1/todos"
    dependencies: ClassVar[dict[str, Provide]] = {"todos": Provide(provide_todos)}

    @get()
    async def read_todos(
        self, todos: TodoService, request: Request[User, Token, Any], page: int = 1, size: int = 20
    ) -> Page:
        listed = _seen_by(request.user).where(Todo.deleted_at.is_(None), List.archived_at.is_(None))
        rows, total = await todos.list_and_count(
            LimitOffset(size, (page - 1) * size),
            statement=listed,
            order_by=(Todo.id, True),
            count_with_window_function=False,
        )
        return Page([_shown(row) for row in rows], page, size, total)

    @get("/{todo_id:uuid}")
    async def read_todo(self, todos: TodoService, request: Request[User, Token, Any], todo_id: UUID) -> TodoOut:
        todo = await todos.get_one_or_none(statement=_seen_by(request.user).where(Todo.id == todo_id))
        if todo is None:
            raise NotFoundException
        return _shown(todo)

    @post()
    async def create_todo(
        self, todos: TodoService, db_session: AsyncSession, request: Request[User, Token, Any], data: TodoCreate
    ) -> TodoOut:
        user = request.user
        member = await db_session.get(Member, (user.inbox_id, user.id))
        if member is None or member.role == "viewer":
            raise NotFoundException
        decided = {"list_id": user.inbox_id, "created_by": user.id, "title_key": data.title.casefold()}
        return _shown(await todos.create({**msgspec.structs.asdict(data), **decided}))

    @patch("/{todo_id:uuid}")
    async def update_todo(
        self, todos: TodoService, request: Request[User, Token, Any], todo_id: UUID, data: TodoUpdate
    ) -> TodoOut:
        wanted = _seen_by(request.user).where(Todo.id == todo_id, Member.role != "viewer")
        todo = await todos.get_one_or_none(statement=wanted)
        if todo is None:
            raise NotFoundException
        new = {name: value for name, value in msgspec.structs.asdict(data).items() if value is not msgspec.UNSET}
        if "title" in new:
            new["title_key"] = new["title"].casefold()
        for name, value in {**new, "updated_at": _now(), "version": todo.version + 1}.items():
            setattr(todo, name, value)
        return _shown(await todos.update(todo))


@get("/health/live", exclude_from_auth=True)
async def live() -> bool:
    return True


authentication = JWTAuth[User](
    retrieve_user_handler=retrieve_user,
    token_secret=os.environ["SECRET_KEY"],
    accepted_audiences=["doable"],
    accepted_issuers=["doable"],
    exclude=["/health"],
)
app = Litestar([live, TodoController], plugins=[SQLAlchemyPlugin(alchemy)], on_app_init=[authentication.on_app_init])


if __name__ == "__main__":
    uvicorn.run(app, port=int(os.environ["PORT"]), access_log=False, log_level="warning")
