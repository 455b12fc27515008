"""How the OpenAPI document is made: what FastAPI reads from the routes, and what is true of every operation besides."""

import json
from collections.abc import Iterable, Iterator
from http import HTTPStatus
from importlib import metadata
from typing import Annotated, Any, Literal

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute, RouteContext, iter_route_contexts
from pydantic import BaseModel, Field
from pydantic.json_schema import models_json_schema

from doable.core.errors import Code
from doable.core.http import examples, repetition
from doable.settings import Settings

DESCRIPTION = "Production-grade Todo API with authentication"
REQUEST_ID = "0190f5a0-7c3e-7b1a-9d2c-5f6e7a8b9c0d"
JSON, PROBLEM = "application/json", "application/problem+json"
CODES = "x-error-codes"  # what `errors` leaves in a route's responses for the builder to spell out

type Document = dict[str, Any]
type Responses = dict[int | str, dict[str, Any]]


Details = Annotated[dict[str, Any] | list[Any] | None, Field(examples=[None])]
RequestId = Annotated[str, Field(examples=[REQUEST_ID])]


class ErrorBody(BaseModel):
    """What was refused and why, and the name of the request in the server's log."""

    code: Annotated[Code, Field(examples=[Code.NOT_FOUND])]
    message: Annotated[str, Field(examples=["There is no such todo."])]
    details: Details
    request_id: RequestId


class Error(BaseModel):
    """Every refusal."""

    error: ErrorBody


class Problem(BaseModel):
    """Every refusal as RFC 9457 has it, for a request that prefers `application/problem+json`."""

    type: Annotated[str, Field(examples=["https://todo.example.com/errors/NOT_FOUND"])]
    title: Annotated[str, Field(examples=["Not Found"])]
    status: Annotated[int, Field(examples=[404])]
    detail: Annotated[str, Field(examples=["There is no such todo."])]
    code: Annotated[Code, Field(examples=[Code.NOT_FOUND])]
    details: Details
    request_id: RequestId


HEADERS: dict[str, tuple[str, Literal["string", "integer"], object]] = {
    "X-Request-ID": ("Names this request in the log of the server; on every answer.", "string", REQUEST_ID),
    "RateLimit-Limit": ("Requests allowed in a period; on every answer.", "integer", 100),
    "RateLimit-Remaining": ("Requests left of it; on every answer.", "integer", 99),
    "RateLimit-Reset": ("Seconds until all of it is there again; on every answer.", "integer", 1),
    "Retry-After": ("Seconds to wait before the request is worth repeating.", "integer", 1),
    "WWW-Authenticate": ("How to authenticate.", "string", "Bearer"),
    "ETag": ("The version of what was answered, for `If-Match`.", "string", '"k3v9x2mq.7"'),
    "Location": ("Where the new resource is.", "string", "/api/v1/todos/0190f5a0-7c3e-7b1a-9d2c-5f6e7a8b9c0d"),
    "Idempotent-Replayed": ("`true` on an answer that was kept under the idempotency key.", "string", "true"),
    "Doable-Position": ("The last event of this write, as `EPOCH:REVISION`.", "string", "k3v9x2mq:42"),
}
HEADERS_OF_STATUS = {
    401: ("WWW-Authenticate",),
    429: ("Retry-After", "RateLimit-Limit", "RateLimit-Remaining", "RateLimit-Reset"),
    503: ("Retry-After",),
}
SAMPLES: dict[Code, tuple[str, object]] = {
    Code.MALFORMED_REQUEST: ("The body names a member of an object twice.", None),
    Code.INVALID_CURSOR: ("This cursor does not belong to this listing and order.", None),
    Code.UNAUTHENTICATED: ("A valid bearer token is needed.", None),
    Code.INVALID_CREDENTIALS: ("Login or password is wrong.", None),
    Code.SESSION_ENDED: ("The session has ended; log in again.", None),
    Code.FORBIDDEN: ("Your role in this list (viewer) does not allow this.", None),
    Code.INSUFFICIENT_SCOPE: ("The token lacks the scope todos:write.", {"scope": "todos:write"}),
    Code.SESSION_REQUIRED: ("Only a session may do this, not an API token.", None),
    Code.NOT_FOUND: ("There is no such todo.", None),
    Code.METHOD_NOT_ALLOWED: ("The resource does not offer this method.", None),
    Code.CONFLICT: ("The state of the resource does not allow this.", None),
    Code.EMAIL_TAKEN: ("This e-mail address is registered already.", None),
    Code.USERNAME_TAKEN: ("This username is taken.", None),
    Code.ALREADY_EXISTS: ("This id is taken.", None),
    Code.IN_TRASH: ("This todo is in the trash; restore it first.", None),
    Code.OWNS_SHARED_LISTS: ("Lists that others use belong to you.", {"list_ids": [REQUEST_ID]}),
    Code.IDEMPOTENCY_IN_PROGRESS: ("A request with this key is being served.", None),
    Code.UNDO_CONFLICT: ("It has changed since.", None),
    Code.POSITION_LOST: ("The position is not in the log; synchronise.", None),
    Code.PRECONDITION_FAILED: ("It has changed since.", {"etag": '"k3v9x2mq.8"'}),
    Code.BODY_TOO_LARGE: ("The body is larger than 1048576 bytes.", None),
    Code.UNSUPPORTED_MEDIA_TYPE: ("The body has to be application/json.", None),
    Code.VALIDATION_ERROR: (
        "The request is not valid.",
        [{"field": "body.title", "message": "String should have at least 1 character", "type": "string_too_short"}],
    ),
    Code.IDEMPOTENCY_MISMATCH: ("The key was used for another request.", None),
    Code.LIMIT_REACHED: ("A person may own 1000 lists at most.", None),
    Code.OCCURRENCE_REQUIRED: ("Say which occurrence is completed.", None),
    Code.RATE_LIMITED: ("Too many requests.", None),
    Code.HEADERS_TOO_LARGE: ("The header fields have more than 16384 bytes.", None),
    Code.INTERNAL_ERROR: ("Something went wrong on this server. The request id leads to it.", None),
    Code.UNAVAILABLE: ("The database does not answer. Nothing was written.", None),
    Code.OUTCOME_UNKNOWN: (
        "The database did not say whether the change was made. Look before you send it again.",
        None,
    ),
}


def errors(*codes: Code) -> Responses:
    """For `responses=` of a route: what it refuses beyond what any operation does."""
    by_status: Responses = {}
    for code in codes:
        by_status.setdefault(code.status, {CODES: []})[CODES].append(code)
    return by_status


def headers(status: int, *names: str) -> Responses:
    """For `responses=` of a route: the headers, out of `HEADERS`, that its answer carries."""
    return {status: {"headers": _references("headers", names)}}


def operation_id(route: APIRoute) -> str:
    """For `FastAPI(generate_unique_id_function=…)`: an operation is called what its function is called."""
    return route.name


def install(app: FastAPI, settings: Settings) -> None:
    """Make `app.openapi()` build the document, once."""

    def openapi() -> Document:
        if app.openapi_schema is None:
            app.openapi_schema = _build(app, settings)
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]  # FastAPI's documented way


def render(document: Document) -> str:
    """The text that is committed: readable, and with small differences for small changes."""
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def _build(app: FastAPI, settings: Settings) -> Document:
    base = settings.base_path
    document: Document = get_openapi(
        title=settings.app_name,
        version=metadata.version("doable"),
        description=DESCRIPTION,
        routes=app.routes,
        tags=app.openapi_tags,
        servers=[{"url": base}] if base else None,
    )
    _add_schemas(document)
    shared: dict[str, Any] = {}
    routes = {(route.path_format, name.lower()): route for route, name in _methods(app)}
    for path, method, operation in _operations(document):
        common: set[Code] = set()
        if path.startswith(f"{settings.api_v1_prefix}/"):
            common = {
                *_common(method, operation),
                *repetition.describe(method, operation, routes[path, method].dependant),
            }
        _refuse(operation, common, shared)
    components = document["components"]
    components["responses"] = {name: shared[name] for name in sorted(shared)}
    components["examples"] = _error_examples(settings)
    components["headers"] = {name: _header(*HEADERS[name]) for name in HEADERS}
    return document


def _add_schemas(document: Document) -> None:
    schemas = document.setdefault("components", {}).setdefault("schemas", {})
    for replaced in ("HTTPValidationError", "ValidationError"):
        schemas.pop(replaced, None)
    _, ours = models_json_schema(
        [(Error, "serialization"), (Problem, "serialization")], ref_template="#/components/schemas/{model}"
    )
    schemas.update(ours["$defs"])
    examples.complete(schemas)
    document["components"]["schemas"] = {name: schemas[name] for name in sorted(schemas)}


def _operations(document: Document) -> Iterator[tuple[str, str, Document]]:
    seen: set[str] = set()
    for path, item in document["paths"].items():
        for method, operation in item.items():
            name = operation["operationId"]
            if name in seen:
                message = f"{method.upper()} {path}: another operation is named {name!r} too"
                raise ValueError(message)
            seen.add(name)
            yield path, method, operation


def _refuse(operation: Document, common: Iterable[Code], shared: Document) -> None:
    """Spell out what the route declared with `errors`, together with what is common."""
    responses = operation["responses"]
    declared = (Code[name] for response in responses.values() for name in response.get(CODES, ()))
    codes = {*declared, *common}
    for status in {code.status for code in codes}:
        these = sorted(code for code in codes if code.status == status)
        name = ".".join(these)
        shared[name] = _refusal(status, these)
        responses[str(status)] = {"$ref": f"#/components/responses/{name}"}
    operation["responses"] = {status: responses[status] for status in sorted(responses)}


def _common(method: str, operation: Document) -> Iterator[Code]:
    yield from (Code.MALFORMED_REQUEST, Code.VALIDATION_ERROR)  # of a query, if nothing else is sent
    yield from (Code.RATE_LIMITED, Code.HEADERS_TOO_LARGE, Code.UNAVAILABLE)
    if method not in {"get", "head", "options"}:
        yield Code.OUTCOME_UNKNOWN
    if operation.get("security"):
        yield Code.UNAUTHENTICATED
    if "requestBody" in operation:
        yield from (Code.BODY_TOO_LARGE, Code.UNSUPPORTED_MEDIA_TYPE)


def _methods(app: FastAPI) -> Iterator[tuple[RouteContext, str]]:
    return ((route, method) for route in iter_route_contexts(app.routes) for method in route.methods or ())


def _refusal(status: int, codes: list[Code]) -> Document:
    content = {
        media_type: {
            "schema": {"$ref": f"#/components/schemas/{model.__name__}"},
            "examples": _references("examples", codes, suffix),
        }
        for media_type, model, suffix in ((JSON, Error, ""), (PROBLEM, Problem, ".problem"))
    }
    response = {"description": " or ".join(f"`{code}`" for code in codes), "content": content}
    return response | ({"headers": _references("headers", names)} if (names := HEADERS_OF_STATUS.get(status)) else {})


def _references(kind: str, names: Iterable[str], suffix: str = "") -> Document:
    return {str(name): {"$ref": f"#/components/{kind}/{name}{suffix}"} for name in names}


def _error_examples(settings: Settings) -> Document:
    found: Document = {}
    for code, (message, details) in SAMPLES.items():
        rest = {"details": details, "request_id": REQUEST_ID}
        problem = {
            "type": f"{settings.public_url.rstrip('/')}/errors/{code}",
            "title": _title(code.status),
            "status": code.status,
        }
        found[str(code)] = {"value": {"error": {"code": str(code), "message": message, **rest}}}
        found[f"{code}.problem"] = {"value": {**problem, "detail": message, "code": str(code), **rest}}
    return found


def _title(status: int) -> str:
    # Python 3.13 has new words for two of them: the committed document must not depend on who makes it.
    return {413: "Content Too Large", 422: "Unprocessable Content"}.get(status, HTTPStatus(status).phrase)


def _header(description: str, kind: str, example: object) -> Document:
    return {"description": description, "schema": {"type": kind}, "example": example}
