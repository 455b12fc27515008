"""In the style of FastAPI's official full-stack template: SQLModel on psycopg, `def` endpoints, PyJWT, a user's SELECT.

Commit and refresh after a write, `response_model` with ORM objects: as the template's items are written.
"""

import json
import os
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any
from uuid import UUID

import jwt
import uvicorn
from fastapi import APIRouter, Depends, FastAPI, HTTPException
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from pwdlib import PasswordHash
from sqlalchemy import Column, DateTime, Text
from sqlmodel import Field, Session, SQLModel, col, create_engine, func, select

from doable.core.ids import new_id

SECRET_KEY = os.environ["SECRET_KEY"]
engine = create_engine(os.environ["DATABASE_URL"].replace("postgresql:", "postgresql+psycopg:"), pool_size=32)
passwords = PasswordHash.recommended()


class User(SQLModel, table=True):
    __tablename__ = "users"
    id: UUID = Field(primary_key=True)
    username: str
    username_key: str | None
    password_hash: str | None
    is_admin: bool
    timezone: str
    inbox_id: UUID
    disabled_at: datetime | None
    deleted_at: datetime | None


class List(SQLModel, table=True):
    __tablename__ = "lists"
    id: UUID = Field(primary_key=True)
    archived_at: datetime | None
    deleted_at: datetime | None


class Member(SQLModel, table=True):
    __tablename__ = "members"
    list_id: UUID = Field(primary_key=True)
    user_id: UUID = Field(primary_key=True)
    role: str


class TodoCreate(SQLModel):
    title: str = Field(min_length=1, max_length=200)
    description: str | None = Field(default=None, max_length=10_000)
    priority: int = Field(default=3, ge=1, le=5)


class TodoUpdate(SQLModel):
    title: str | None = Field(default=None, min_length=1, max_length=200)
    description: str | None = Field(default=None, max_length=10_000)
    priority: int | None = Field(default=None, ge=1, le=5)


def _now() -> datetime:
    return datetime.now(UTC)


class Todo(SQLModel, table=True):
    __tablename__ = "todos"
    id: UUID = Field(default_factory=new_id, primary_key=True)
    list_id: UUID
    parent_id: UUID | None = None
    position: str = Field(default_factory=lambda: new_id().hex)
    title: str
    title_key: str
    description: str | None = None
    priority: int = 3
    completed_at: datetime | None = Field(default=None, sa_type=DateTime(timezone=True))
    due_date: str | None = None
    due_time: str | None = None
    due_timezone: str | None = None
    due_at: datetime | None = Field(default=None, sa_type=DateTime(timezone=True))
    rule: str | None = None
    basis: str | None = None
    done: int = 0
    labels_json: str = Field(default="[]", sa_column=Column("labels", Text))
    assignee_id: UUID | None = None
    created_by: UUID
    created_at: datetime = Field(default_factory=_now, sa_type=DateTime(timezone=True))
    updated_at: datetime = Field(default_factory=_now, sa_type=DateTime(timezone=True))
    deleted_at: datetime | None = Field(default=None, sa_type=DateTime(timezone=True))
    version: int = 1

    @property
    def completed(self) -> bool:
        return self.completed_at is not None

    @property
    def due(self) -> dict[str, Any] | None:
        if self.due_date is None:
            return None
        return {"date": self.due_date, "time": self.due_time, "timezone": self.due_timezone, "at": self.due_at}

    @property
    def recurrence(self) -> dict[str, Any] | None:
        return None if self.rule is None else {"rule": self.rule, "basis": self.basis, "done": self.done}

    @property
    def labels(self) -> list[str]:
        found: list[str] = json.loads(self.labels_json)
        return found


class DuePublic(SQLModel):
    date: str
    time: str | None
    timezone: str | None
    at: datetime | None


class RecurrencePublic(SQLModel):
    rule: str
    basis: str
    done: int


class TodoPublic(SQLModel):
    id: UUID
    list_id: UUID
    parent_id: UUID | None
    position: str
    title: str
    description: str | None
    priority: int
    completed: bool
    completed_at: datetime | None
    due: DuePublic | None
    recurrence: RecurrencePublic | None
    labels: list[str]
    assignee_id: UUID | None
    created_by: UUID
    created_at: datetime
    updated_at: datetime
    deleted_at: datetime | None
    version: int


class TodosPublic(SQLModel):
    items: list[TodoPublic]
    page: int
    size: int
    total: int


class Login(SQLModel):
    login: str
    password: str


def get_db() -> Any:
    with Session(engine) as session:
        yield session


SessionDep = Annotated[Session, Depends(get_db)]
TokenDep = Annotated[HTTPAuthorizationCredentials, Depends(HTTPBearer())]


def get_current_user(session: SessionDep, token: TokenDep) -> User:
    try:
        claims = jwt.decode(token.credentials, SECRET_KEY, algorithms=["HS256"], audience="doable", issuer="doable")
    except jwt.InvalidTokenError:
        raise HTTPException(401, "Could not validate credentials") from None
    user = session.get(User, UUID(claims["sub"]))
    if user is None or user.disabled_at is not None or user.deleted_at is not None:
        raise HTTPException(401, "Could not validate credentials")
    return user


CurrentUser = Annotated[User, Depends(get_current_user)]
router = APIRouter(prefix="/api/v1")


def _seen_by(user: User, what: Any) -> Any:
    return (
        select(what)
        .select_from(Todo)
        .join(Member, col(Member.list_id) == Todo.list_id)
        .join(List, col(List.id) == Todo.list_id)
        .where(Member.user_id == user.id, col(List.deleted_at).is_(None))
    )


@router.get("/todos", response_model=TodosPublic)
def read_todos(session: SessionDep, user: CurrentUser, page: int = 1, size: int = 20) -> Any:
    shown = col(Todo.deleted_at).is_(None), col(List.archived_at).is_(None)
    total = session.exec(_seen_by(user, func.count()).where(*shown)).one()
    statement = _seen_by(user, Todo).where(*shown).order_by(col(Todo.id).desc())
    items = session.exec(statement.offset((page - 1) * size).limit(size)).all()
    return TodosPublic(items=[TodoPublic.model_validate(item) for item in items], page=page, size=size, total=total)


@router.get("/todos/{todo_id}", response_model=TodoPublic)
def read_todo(session: SessionDep, user: CurrentUser, todo_id: UUID) -> Any:
    todo = session.exec(_seen_by(user, Todo).where(Todo.id == todo_id)).first()
    if todo is None:
        raise HTTPException(404, "Todo not found")
    return todo


@router.post("/todos", response_model=TodoPublic, status_code=201)
def create_todo(session: SessionDep, user: CurrentUser, todo_in: TodoCreate) -> Any:
    member = session.get(Member, (user.inbox_id, user.id))
    if member is None or member.role == "viewer":
        raise HTTPException(404, "List not found")
    decided = {"list_id": user.inbox_id, "created_by": user.id, "title_key": todo_in.title.casefold()}
    todo = Todo.model_validate(todo_in, update=decided)
    session.add(todo)
    session.commit()
    session.refresh(todo)
    return todo


@router.patch("/todos/{todo_id}", response_model=TodoPublic)
def update_todo(session: SessionDep, user: CurrentUser, todo_id: UUID, todo_in: TodoUpdate) -> Any:
    todo = session.exec(_seen_by(user, Todo).where(Todo.id == todo_id, Member.role != "viewer")).first()
    if todo is None:
        raise HTTPException(404, "Todo not found")
    new = todo_in.model_dump(exclude_unset=True)
    if "title" in new:
        new["title_key"] = new["title"].casefold()
    todo.sqlmodel_update({**new, "updated_at": _now(), "version": todo.version + 1})
    session.add(todo)
    session.commit()
    session.refresh(todo)
    return todo


@router.post("/auth/login")
def login(session: SessionDep, body: Login) -> dict[str, str]:
    user = session.exec(select(User).where(User.username_key == body.login.casefold())).first()
    if user is None or not passwords.verify(body.password, user.password_hash or ""):
        raise HTTPException(401, "Incorrect login or password")
    claims = {"sub": str(user.id), "aud": "doable", "iss": "doable", "exp": _now() + timedelta(minutes=30)}
    return {"access_token": jwt.encode(claims, SECRET_KEY, algorithm="HS256"), "token_type": "bearer"}


app = FastAPI()
app.include_router(router)


@app.get("/health/live")
def live() -> bool:
    return True


if __name__ == "__main__":
    uvicorn.run(app, port=int(os.environ["PORT"]), access_log=False, log_level="warning")
