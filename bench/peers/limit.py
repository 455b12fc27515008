"""The limit: a bare ASGI function on uvicorn and asyncpg that does the SQL of an operation and no more.

It reads the token (HS256 by hand), runs one statement (two for a page and its total), and answers with orjson what
Doable answers. It validates nothing, writes no event, limits and logs nothing: nobody could put it online.
"""

import base64
import hmac
import os
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import asyncpg
import orjson
import uvicorn

from doable.core.ids import new_id

type Message = dict[str, Any]
type Connection = asyncpg.Connection[asyncpg.Record]
type Receive = Callable[[], Awaitable[Message]]
type Send = Callable[[Message], Awaitable[None]]
type Answer = tuple[int, object]

KEY = os.environ["SECRET_KEY"].encode()
CONNECTIONS = 32
PREFIX = len("/api/v1/todos/")

COLUMNS = (
    "t.id, t.list_id, t.parent_id, t.position, t.title, t.description, t.priority, t.completed_at, t.due_date, "
    "t.due_time, t.due_timezone, t.due_at, t.rule, t.basis, t.done, t.labels, t.assignee_id, t.created_by, "
    "t.created_at, t.updated_at, t.deleted_at, t.version"
)
SEEN = (
    "FROM todos t JOIN members m ON m.list_id = t.list_id JOIN lists l ON l.id = t.list_id "
    "WHERE m.user_id = $1 AND l.deleted_at IS NULL"
)
LISTED = f"{SEEN} AND t.deleted_at IS NULL AND l.archived_at IS NULL"
ONE = f"SELECT {COLUMNS} {SEEN} AND t.id = $2"
PAGE = f"SELECT {COLUMNS} {LISTED} ORDER BY t.id DESC LIMIT $2 OFFSET 0"
TOTAL = f"SELECT count(*) FROM (SELECT 1 {LISTED} LIMIT 10001) AS counted"
INSERT = (
    "INSERT INTO todos AS t (id, list_id, position, title, title_key, priority, created_by, created_at, updated_at, "
    "version) SELECT $2, u.inbox_id, $3, $4, $5, $6, u.id, $7, $7, 1 FROM users u WHERE u.id = $1 "
    f"RETURNING {COLUMNS}"
)
UPDATE = (
    "UPDATE todos t SET title = $3, title_key = $3, updated_at = $4, version = version + 1 FROM members m "
    f"WHERE m.list_id = t.list_id AND m.user_id = $1 AND t.id = $2 RETURNING {COLUMNS}"
)

idle: list[Connection] = []


async def app(scope: Message, receive: Receive, send: Send) -> None:
    if scope["type"] == "lifespan":
        await receive()
        idle.extend([await asyncpg.connect(os.environ["DATABASE_URL"]) for _ in range(CONNECTIONS)])
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await send({"type": "lifespan.shutdown.complete"})
        return
    if scope["path"] == "/health/live":
        status, answer = 200, None
    else:
        try:
            status, answer = await _served(scope, receive)
        except PermissionError:
            status, answer = 401, None
        except LookupError:
            status, answer = 404, None
    content = orjson.dumps(answer, default=str)  # asyncpg's UUID is a class of its own
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(content))]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": content})


async def _served(scope: Message, receive: Receive) -> Answer:
    user_id = _user(dict(scope["headers"])[b"authorization"].removeprefix(b"Bearer "))
    body = (await receive())["body"] if scope["method"] in {"POST", "PATCH"} else b""
    connection = idle.pop()
    try:
        return await _answer(connection, scope["method"], scope["path"], user_id, body)
    finally:
        idle.append(connection)


async def _answer(connection: Connection, method: str, path: str, user_id: UUID, body: bytes) -> Answer:
    now = datetime.now(UTC)
    if method == "POST":
        new = orjson.loads(body)
        todo_id, title = new_id(), new["title"]
        values = user_id, todo_id, todo_id.hex, title, title.lower(), new["priority"], now
        return 201, _shown(await connection.fetchrow(INSERT, *values))
    if method == "PATCH":
        title = orjson.loads(body)["title"]
        return 200, _shown(await connection.fetchrow(UPDATE, user_id, UUID(path[PREFIX:]), title, now))
    if len(path) > PREFIX:
        return 200, _shown(await connection.fetchrow(ONE, user_id, UUID(path[PREFIX:])))
    rows = await connection.fetch(PAGE, user_id, 21)
    total = await connection.fetchval(TOTAL, user_id)
    return 200, {"items": [_shown(row) for row in rows[:20]], "page": 1, "size": 20, "total": total}


def _user(token: bytes) -> UUID:
    signed, _, signature = token.rpartition(b".")
    if not hmac.compare_digest(hmac.digest(KEY, signed, "sha256"), _decoded(signature)):
        raise PermissionError
    claims = orjson.loads(_decoded(signed.partition(b".")[2]))
    if claims["exp"] < datetime.now(UTC).timestamp():
        raise PermissionError
    return UUID(claims["sub"])


def _decoded(part: bytes) -> bytes:
    return base64.urlsafe_b64decode(part + b"==")


def _shown(row: asyncpg.Record | None) -> dict[str, object]:
    if row is None:
        raise LookupError
    due = None
    if row["due_date"] is not None:
        due = {"date": row["due_date"], "time": row["due_time"], "timezone": row["due_timezone"], "at": row["due_at"]}
    rule = row["rule"]
    return {
        "id": row["id"],
        "list_id": row["list_id"],
        "parent_id": row["parent_id"],
        "position": row["position"],
        "title": row["title"],
        "description": row["description"],
        "priority": row["priority"],
        "completed": row["completed_at"] is not None,
        "completed_at": row["completed_at"],
        "due": due,
        "recurrence": rule and {"rule": rule, "basis": row["basis"], "done": row["done"]},
        "labels": orjson.loads(row["labels"]),
        "assignee_id": row["assignee_id"],
        "created_by": row["created_by"],
        "created_at": row["created_at"],
        "updated_at": row["updated_at"],
        "deleted_at": row["deleted_at"],
        "version": row["version"],
    }


if __name__ == "__main__":
    uvicorn.run(
        app, port=int(os.environ["PORT"]), loop="uvloop", http="httptools", access_log=False, log_level="warning"
    )
