from collections.abc import AsyncIterator
from pathlib import Path
from typing import Annotated

import pytest
from fastapi import APIRouter, Depends, Request
from pydantic import BaseModel

from doable.core.errors import AppException, Code
from doable.core.http.routing import Route
from tests.support import edged
from tests.support.edged import Edged, serving

outer = APIRouter(route_class=Route)
inner = APIRouter(route_class=Route, prefix="/{list_id}/members")


class Todo(BaseModel):
    title: str


async def refuse_everyone() -> None:
    raise AppException(Code.UNAUTHENTICATED, "Who are you?")


@outer.post("/todos")
async def create(todo: Todo, request: Request) -> str:
    return f"{todo.title} {len(await request.body())}"


@outer.post("/private", dependencies=[Depends(refuse_everyone)])
async def private(todo: Todo) -> str:
    return todo.title


@outer.put("/completion")
async def complete() -> str:
    return "done"


@outer.post("/optional")
async def optional(todo: Todo | None = None) -> str:
    return todo.title if todo else "none"


@inner.get("/{user_id}")
async def member(list_id: str, user_id: str, also: Annotated[str, Depends(lambda: "x")]) -> str:
    return list_id + user_id + also


outer.include_router(inner, prefix="/lists")
outer.include_router(inner, prefix="/rooms")


@pytest.fixture
async def served(tmp_path: Path) -> AsyncIterator[Edged]:
    async with serving(outer, edged.settings(tmp_path)) as served:
        yield served


@pytest.mark.parametrize(
    "content_type",
    [
        "application/json",
        "Application/JSON; charset=UTF-8",
        'application/json;charset="utf-8"',
        "application/merge-patch+json",
        "application/ld+json; profile=x",
    ],
)
async def test_json_by_any_of_its_names_is_read(served: Edged, content_type: str) -> None:
    content = b'{"title": "x"}'
    response = await served.client.post("/api/v1/todos", content=content, headers={"Content-Type": content_type})

    assert response.json() == f"x {len(content)}"


@pytest.mark.parametrize(
    "content_type",
    [
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "application/json; charset=utf-16",
        "application/json, text/plain",
        "json",
        "text/json",
        "application/jsonp",
        "",
    ],
)
async def test_a_body_that_says_it_is_something_else_is_refused(served: Edged, content_type: str) -> None:
    response = await served.client.post(
        "/api/v1/todos", content=b'{"title": "x"}', headers={"Content-Type": content_type}
    )

    assert response.status_code == 415
    assert response.json()["error"]["code"] == "UNSUPPORTED_MEDIA_TYPE"


async def test_a_body_without_a_content_type_is_refused(served: Edged) -> None:
    assert (await served.client.post("/api/v1/todos", content=b'{"title": "x"}')).status_code == 415


async def test_no_body_where_one_is_needed_is_not_valid(served: Edged) -> None:
    response = await served.client.post("/api/v1/todos")

    assert response.status_code == 422
    assert response.json()["error"]["details"] == [{"field": "body", "message": "Field required", "type": "missing"}]


async def test_no_body_where_one_is_optional_is_fine(served: Edged) -> None:
    assert (await served.client.post("/api/v1/optional")).json() == "none"


async def test_a_body_where_none_is_taken_is_ignored(served: Edged) -> None:
    response = await served.client.put(
        "/api/v1/completion", content=b"{ nonsense", headers={"Content-Type": "text/plain"}
    )

    assert (response.status_code, response.json()) == (200, "done")


@pytest.mark.parametrize(
    ("content", "status", "code"),
    [
        (b'{"title": ', 400, "MALFORMED_REQUEST"),
        (b'{"title": "a", "title": "b"}', 400, "MALFORMED_REQUEST"),
        (b'{"title": NaN}', 400, "MALFORMED_REQUEST"),
        (b'{"title": 1}', 401, "UNAUTHENTICATED"),
        (b"[]", 401, "UNAUTHENTICATED"),
    ],
)
async def test_broken_json_is_told_before_401_and_invalid_json_after_it(
    served: Edged, content: bytes, status: int, code: str
) -> None:
    response = await served.client.post(
        "/api/v1/private", content=content, headers={"Content-Type": "application/json"}
    )

    assert (response.status_code, response.json()["error"]["code"]) == (status, code)


@pytest.mark.parametrize("content", [b"null", b"[]", b'"x"', b"1", b"9" * 5000, b'{"title": ' + b"9" * 5000 + b"}"])
async def test_json_of_another_shape_is_not_valid(served: Edged, content: bytes) -> None:
    response = await served.client.post("/api/v1/todos", content=content, headers={"Content-Type": "application/json"})

    assert response.status_code == 422


async def test_a_template_has_all_prefixes_also_of_a_router_that_is_included_twice(served: Edged) -> None:
    await served.client.get("/api/v1/lists/1/members/2")
    await served.client.get("/api/v1/rooms/1/members/2")
    await served.client.delete("/api/v1/rooms/1/members/2")
    await served.client.get("/api/v1/rooms/1/members/2/3")

    assert [record["route"] for record in served.requests()] == [
        "/api/v1/lists/{list_id}/members/{user_id}",
        "/api/v1/rooms/{list_id}/members/{user_id}",
        "/api/v1/rooms/{list_id}/members/{user_id}",
        "unmatched",
    ]
