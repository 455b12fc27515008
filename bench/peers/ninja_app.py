"""Django Ninja on gunicorn's threads: Django's ORM on psycopg, HttpBearer that asks for the user, schemas out."""

import json
import os
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import django
import jwt
from django.conf import settings

SECRET_KEY = os.environ["SECRET_KEY"]
settings.configure(
    SECRET_KEY=SECRET_KEY,
    ALLOWED_HOSTS=["127.0.0.1"],
    ROOT_URLCONF=__name__,
    USE_TZ=True,
    MIDDLEWARE=["django.middleware.common.CommonMiddleware"],  # it adds Content-Length
    LOGGING={
        "version": 1,
        "handlers": {"err": {"class": "logging.StreamHandler"}},
        "loggers": {"django": {"handlers": ["err"]}},
    },
    DATABASES={
        "default": {
            "ENGINE": "django.db.backends.postgresql",
            "HOST": "127.0.0.1",
            "PORT": os.environ["DATABASE_URL"].rpartition("/")[0].rpartition(":")[2],
            "USER": "postgres",
            "NAME": os.environ["DATABASE_URL"].rpartition("/")[2],
            "CONN_MAX_AGE": None,  # each thread keeps its own
        }
    },
)
django.setup()

from django.core.wsgi import get_wsgi_application  # noqa: E402 — Django reads its settings at import
from django.db import models  # noqa: E402
from django.http import HttpRequest  # noqa: E402
from django.urls import path  # noqa: E402
from ninja import Field, NinjaAPI, Schema  # noqa: E402
from ninja.errors import HttpError  # noqa: E402
from ninja.security import HttpBearer  # noqa: E402

from doable.core.ids import new_id  # noqa: E402


def _now() -> datetime:
    return datetime.now(UTC)


def _position() -> str:
    return new_id().hex


class User(models.Model):
    id = models.UUIDField(primary_key=True)
    username = models.TextField()
    is_admin = models.BooleanField()
    timezone = models.TextField()
    inbox_id = models.UUIDField()
    disabled_at = models.DateTimeField(null=True)
    deleted_at = models.DateTimeField(null=True)

    class Meta:
        app_label, managed, db_table = "bench", False, "users"


class List(models.Model):
    id = models.UUIDField(primary_key=True)
    archived_at = models.DateTimeField(null=True)
    deleted_at = models.DateTimeField(null=True)

    class Meta:
        app_label, managed, db_table = "bench", False, "lists"


class Member(models.Model):
    pk = models.CompositePrimaryKey("list_id", "user_id")
    list = models.ForeignKey(List, models.DO_NOTHING)
    user = models.ForeignKey(User, models.DO_NOTHING)
    role = models.TextField()

    class Meta:
        app_label, managed, db_table = "bench", False, "members"


class Todo(models.Model):
    id = models.UUIDField(primary_key=True, default=new_id)
    list = models.ForeignKey(List, models.DO_NOTHING)
    parent_id = models.UUIDField(null=True)
    position = models.TextField(default=_position)
    title = models.TextField()
    title_key = models.TextField()
    description = models.TextField(null=True)
    priority = models.IntegerField(default=3)
    completed_at = models.DateTimeField(null=True)
    due_date = models.TextField(null=True)
    due_time = models.TextField(null=True)
    due_timezone = models.TextField(null=True)
    due_at = models.DateTimeField(null=True)
    rule = models.TextField(null=True)
    basis = models.TextField(null=True)
    done = models.IntegerField(default=0)
    labels = models.TextField(default="[]")
    assignee_id = models.UUIDField(null=True)
    created_by = models.UUIDField()
    created_at = models.DateTimeField(default=_now)
    updated_at = models.DateTimeField(default=_now)
    deleted_at = models.DateTimeField(null=True)
    version = models.IntegerField(default=1)

    class Meta:
        app_label, managed, db_table = "bench", False, "todos"


class TodoIn(Schema):
    title: str = Field(min_length=1, max_length=200)
    description: str | None = Field(None, max_length=10_000)
    priority: int = Field(3, ge=1, le=5)


class TodoPatch(Schema):
    title: str | None = Field(None, min_length=1, max_length=200)
    description: str | None = Field(None, max_length=10_000)
    priority: int | None = Field(None, ge=1, le=5)


class Due(Schema):
    date: str
    time: str | None
    timezone: str | None
    at: datetime | None


class Recurrence(Schema):
    rule: str
    basis: str
    done: int


class TodoOut(Schema):
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

    @staticmethod
    def resolve_completed(todo: Todo) -> bool:
        return todo.completed_at is not None

    @staticmethod
    def resolve_due(todo: Todo) -> dict[str, Any] | None:
        if todo.due_date is None:
            return None
        return {"date": todo.due_date, "time": todo.due_time, "timezone": todo.due_timezone, "at": todo.due_at}

    @staticmethod
    def resolve_recurrence(todo: Todo) -> dict[str, Any] | None:
        return None if todo.rule is None else {"rule": todo.rule, "basis": todo.basis, "done": todo.done}

    @staticmethod
    def resolve_labels(todo: Todo) -> Any:
        return json.loads(todo.labels)


class Page(Schema):
    items: list[TodoOut]
    page: int
    size: int
    total: int


class Bearer(HttpBearer):
    def authenticate(self, request: HttpRequest, token: str) -> User | None:  # noqa: ARG002 — Ninja's signature
        try:
            claims = jwt.decode(token, SECRET_KEY, algorithms=["HS256"], audience="doable", issuer="doable")
        except jwt.InvalidTokenError:
            return None
        return User.objects.filter(id=claims["sub"], disabled_at=None, deleted_at=None).first()


WRITERS = "owner", "editor"
api = NinjaAPI(auth=Bearer())


def _seen_by(request: Any, **role: Any) -> Any:
    membership = Member.objects.filter(list_id=models.OuterRef("list_id"), user_id=request.auth.id, **role)
    return Todo.objects.filter(models.Exists(membership), list__deleted_at=None)


@api.get("/todos", response=Page)
def read_todos(request: HttpRequest, page: int = 1, size: int = 20) -> Any:
    listed = _seen_by(request).filter(deleted_at=None, list__archived_at=None)
    items = list(listed.order_by("-id")[(page - 1) * size : page * size])
    return {"items": items, "page": page, "size": size, "total": listed.count()}


@api.get("/todos/{uuid:todo_id}", response=TodoOut)
def read_todo(request: HttpRequest, todo_id: UUID) -> Any:
    todo = _seen_by(request).filter(id=todo_id).first()
    if todo is None:
        raise HttpError(404, "Not found")
    return todo


@api.post("/todos", response={201: TodoOut})
def create_todo(request: Any, body: TodoIn) -> Any:
    user = request.auth
    if not Member.objects.filter(list_id=user.inbox_id, user_id=user.id, role__in=WRITERS).exists():
        raise HttpError(404, "Not found")
    decided = {"list_id": user.inbox_id, "created_by": user.id, "title_key": body.title.casefold()}
    return 201, Todo.objects.create(**body.dict(), **decided)


@api.patch("/todos/{uuid:todo_id}", response=TodoOut)
def update_todo(request: HttpRequest, todo_id: UUID, body: TodoPatch) -> Any:
    todo = _seen_by(request, role__in=WRITERS).filter(id=todo_id).first()
    if todo is None:
        raise HttpError(404, "Not found")
    new = body.dict(exclude_unset=True)
    if "title" in new:
        new["title_key"] = new["title"].casefold()
    new |= {"updated_at": _now(), "version": todo.version + 1}
    for name, value in new.items():
        setattr(todo, name, value)
    todo.save(update_fields=list(new))
    return todo


@api.get("/live", auth=None)
def live(request: HttpRequest) -> bool:  # noqa: ARG001 — Ninja's signature
    return True


urlpatterns = [path("api/v1/", api.urls)]
application = get_wsgi_application()
