from collections.abc import AsyncIterator
from pathlib import Path
from typing import Annotated, Literal

import orjson
import pytest
from fastapi import APIRouter, HTTPException, Query
from pydantic import BaseModel, ConfigDict, Field

from doable.core import db
from doable.core.errors import AppException, Code, not_found
from doable.core.http.routing import Route
from tests.support import edged
from tests.support.edged import Edged, serving

router = APIRouter(route_class=Route)
FAILURES: dict[str, Exception] = {
    "unavailable": db.Unavailable("connect to 10.0.0.7 failed"),
    "serialization": db.SerializationFailure("deadlock detected"),
    "unknown": db.OutcomeUnknown("COMMIT was lost"),
    "unique": db.UniqueViolation("users_email", "uq_users_email_key"),
    "bug": ZeroDivisionError("canary-reason"),
    "refusal": AppException(Code.EMAIL_TAKEN, "Taken.", {"field": "body.email"}),
    "overload": AppException(Code.UNAVAILABLE, "Too busy.", headers={"Retry-After": "7"}),
    "framework": HTTPException(415, "No."),
    "odd": HTTPException(418, "I am a teapot."),
}


class Cat(BaseModel):
    kind: Literal["cat"]


class Dog(BaseModel):
    kind: Literal["dog"]


class Todo(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    title: Annotated[str, Field(min_length=1, max_length=5)]
    priority: Annotated[int, Field(ge=1, le=5)] = 3
    pet: Annotated[Cat | Dog | None, Field(discriminator="kind")] = None


@router.post("/todos")
async def create(todo: Todo) -> str:
    return todo.title


@router.get("/todos")
async def search(page: Annotated[int, Query(ge=1, le=10)] = 1) -> int:
    return page


@router.get("/todos/{todo_id}")
async def read(todo_id: int) -> None:  # noqa: ARG001 — to be validated
    raise not_found("resource")


@router.patch("/todos/{todo_id}")
async def update(todo_id: int) -> None: ...


@router.get("/fails/{how}")
async def fail(how: str) -> None:
    raise FAILURES[how]


@pytest.fixture
async def served(tmp_path: Path) -> AsyncIterator[Edged]:
    async with serving(router, edged.settings(tmp_path, public_url="https://todo.example.com/")) as served:
        yield served


async def test_a_refusal_has_the_shape_of_the_contract_and_nothing_else(served: Edged) -> None:
    response = await served.client.get("/api/v1/fails/refusal")

    assert response.status_code == 409
    assert response.headers["content-type"] == "application/json"
    assert response.json() == {
        "error": {
            "code": "EMAIL_TAKEN",
            "message": "Taken.",
            "details": {"field": "body.email"},
            "request_id": response.headers["x-request-id"],
        }
    }


async def test_what_is_not_valid_is_named_field_by_field(served: Edged) -> None:
    response = await served.client.post("/api/v1/todos", json={"title": "", "priority": "1", "owner": 1})

    error = response.json()["error"]
    assert (response.status_code, error["code"]) == (422, "VALIDATION_ERROR")
    assert {(detail["field"], detail["type"]) for detail in error["details"]} == {
        ("body.title", "string_too_short"),
        ("body.priority", "int_type"),
        ("body.owner", "extra_forbidden"),
    }
    assert all(set(detail) == {"field", "message", "type"} for detail in error["details"])


@pytest.mark.parametrize(
    ("path", "field"),
    [
        ("/api/v1/todos?page=x", "query.page"),
        ("/api/v1/todos?page=" + "9" * 5000, "query.page"),
        ("/api/v1/todos/x", "path.todo_id"),
    ],
)
async def test_bad_paths_and_queries_are_not_valid(served: Edged, path: str, field: str) -> None:
    response = await served.client.get(path)

    assert response.status_code == 422
    assert response.json()["error"]["details"][0]["field"] == field
    assert len(response.content) < 2000


@pytest.mark.parametrize(
    "body",
    [
        {"title": "canary" * 100},
        {"title": 1, "pet": {"kind": "canary" * 1000}},
        {f"canary{number}": 1 for number in range(5000)},
        {"canary" * 10_000: 1},
        {"title": "x", "é" * 300: 1, "\U0001f600" * 300: 1, **{"\x01" * 300 + str(n): 1 for n in range(50)}},
    ],
)
async def test_a_refusal_is_short_and_gives_little_of_the_input_back(served: Edged, body: dict[str, object]) -> None:
    response = await served.client.post(
        "/api/v1/todos", content=orjson.dumps(body), headers={"Content-Type": "application/json"}
    )

    assert response.status_code == 422
    assert len(response.content) < 2048
    assert 1 <= len(response.json()["error"]["details"]) <= 20
    values = [detail["message"] for detail in response.json()["error"]["details"]]
    assert "canary" not in "".join(values)


async def test_an_unknown_path_and_a_hidden_object_look_the_same(served: Edged) -> None:
    unknown = await served.client.get("/api/v1/nowhere")
    hidden = await served.client.get("/api/v1/todos/1")
    same = {"x-request-id", "ratelimit-remaining", "ratelimit-reset"}

    def told(error: dict[str, dict[str, object]]) -> dict[str, object]:
        return {key: value for key, value in error["error"].items() if key != "request_id"}

    assert unknown.status_code == hidden.status_code == 404
    assert told(unknown.json()) == told(hidden.json())
    assert {name: value for name, value in unknown.headers.items() if name not in same} == {
        name: value for name, value in hidden.headers.items() if name not in same
    }


@pytest.mark.parametrize(
    ("method", "path", "allow"),
    [
        ("DELETE", "/api/v1/todos", "GET, HEAD, POST"),
        ("PUT", "/api/v1/todos/1", "GET, HEAD, PATCH"),
        ("TRACE", "/api/v1/todos", "GET, HEAD, POST"),
        ("OPTIONS", "/api/v1/todos", "GET, HEAD, POST"),
        ("POST", "/health/live", "GET, HEAD"),
        ("PUT", "/api/v1/todos/", "GET, HEAD, POST"),
    ],
)
async def test_405_names_every_method_of_the_path(served: Edged, method: str, path: str, allow: str) -> None:
    response = await served.client.request(method, path)

    assert response.status_code == 405
    assert response.headers["allow"] == allow
    assert response.json()["error"]["code"] == "METHOD_NOT_ALLOWED"


async def test_405_names_options_where_browsers_of_other_origins_may_ask(tmp_path: Path) -> None:
    async with serving(router, edged.settings(tmp_path, cors_origins=("https://a.example",))) as served:
        response = await served.client.delete("/api/v1/todos")

    assert response.headers["allow"] == "GET, HEAD, POST, OPTIONS"


@pytest.mark.parametrize(
    ("how", "status", "code", "retry_after"),
    [
        ("unavailable", 503, "UNAVAILABLE", "1"),
        ("serialization", 503, "UNAVAILABLE", "0"),
        ("unknown", 503, "OUTCOME_UNKNOWN", "1"),
        ("overload", 503, "UNAVAILABLE", "7"),
        ("unique", 500, "INTERNAL_ERROR", None),
        ("bug", 500, "INTERNAL_ERROR", None),
        ("framework", 415, "UNSUPPORTED_MEDIA_TYPE", None),
        ("odd", 400, "MALFORMED_REQUEST", None),
    ],
)
async def test_every_failure_has_its_code(
    served: Edged, how: str, status: int, code: str, retry_after: str | None
) -> None:
    response = await served.client.get(f"/api/v1/fails/{how}")

    assert (response.status_code, response.json()["error"]["code"]) == (status, code)
    assert response.headers.get("retry-after") == retry_after
    assert "10.0.0.7" not in response.text
    assert "deadlock" not in response.text


async def test_a_bug_is_told_to_the_log_and_only_there(served: Edged) -> None:
    response = await served.client.get("/api/v1/fails/bug")

    failure, request = served.log()
    assert "Traceback" in failure["exception"]
    assert "ZeroDivisionError: canary-reason" in failure["exception"]
    assert failure["request_id"] == request["request_id"] == response.headers["x-request-id"]
    assert "canary" not in response.text
    assert "Traceback" not in response.text
    assert (request["status"], request["route"]) == (500, "/api/v1/fails/{how}")


async def test_the_reason_why_the_database_failed_is_in_the_log(served: Edged) -> None:
    await served.client.get("/api/v1/fails/unavailable")

    warning = served.log()[0]
    assert warning["level"] == "warning"
    assert "10.0.0.7" in warning["reason"]


@pytest.mark.parametrize(
    ("accept", "problem"),
    [
        ("application/problem+json", True),
        ("application/problem+json, application/json", True),
        ("application/json;q=0.5, Application/Problem+JSON;q=0.9", True),
        ("application/problem+json;q=0.2, */*;q=0.1", True),
        ("application/json, application/problem+json", False),
        ("application/problem+json;q=0.1, application/json", False),
        ("application/problem+json;q=0", False),
        ("*/*", False),
        ("application/*", False),
        ("", False),
        ("\xff;q=x,,;", False),
    ],
)
async def test_a_problem_document_comes_when_it_is_preferred(served: Edged, accept: str, problem: bool) -> None:  # noqa: FBT001 — a parameter
    response = await served.client.get("/api/v1/todos?page=0", headers=[(b"accept", accept.encode("latin-1"))])

    assert response.status_code == 422
    assert response.headers["content-type"] == ("application/problem+json" if problem else "application/json")


async def test_a_problem_document_has_the_members_of_the_contract(served: Edged) -> None:
    response = await served.client.get("/api/v1/todos/7", headers={"Accept": "application/problem+json"})

    assert response.json() == {
        "type": "https://todo.example.com/errors/NOT_FOUND",
        "title": "Not Found",
        "status": 404,
        "detail": "There is no such resource.",
        "code": "NOT_FOUND",
        "details": None,
        "request_id": response.headers["x-request-id"],
    }


async def test_the_edge_itself_refuses_with_a_problem_document_too(served: Edged) -> None:
    response = await served.client.get("/?a=1&a=2", headers={"Accept": "application/problem+json"})

    assert response.headers["content-type"] == "application/problem+json"
    assert response.json()["code"] == "MALFORMED_REQUEST"
