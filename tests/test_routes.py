"""Every route says what it answers and asks who is calling, or is named here."""

from collections.abc import Iterator

import httpx2
import pytest
from fastapi import APIRouter, FastAPI
from fastapi.dependencies.models import Dependant
from fastapi.responses import JSONResponse
from fastapi.routing import APIRoute, RouteContext, iter_route_contexts
from pydantic import SecretStr

from doable import app as application
from doable.accounts import access
from doable.core.http import idempotency
from doable.core.http.routing import Route
from doable.core.http.transaction import SAFE_METHODS, Db, transaction
from doable.settings import Settings
from tests.support import asgi, world

PREFIX = "/api/v1"
PUBLIC = {
    "POST /users",
    "POST /auth/login",
    "POST /auth/refresh",
    "POST /auth/logout",  # a refresh token is enough
    "POST /auth/password-reset",
    "POST /auth/password-reset/confirm",
    "POST /auth/verify-email",
}
WITHOUT_KEY = {  # those with a `*` in the contract: a password in or a secret out
    "POST /users",
    "PUT /users/me/password",
    "DELETE /users/me",
    "POST /auth/login",
    "POST /auth/refresh",
    "POST /auth/logout",
    "POST /auth/password-reset",
    "POST /auth/password-reset/confirm",
    "POST /auth/verify-email",
    "POST /users/me/tokens",
    "POST /auth/ticket",
    "POST /lists/{list_id}/invitations",
    "POST /sync",  # changes nothing
    "POST /webhooks",
    "POST /webhooks/{webhook_id}/secret",
}
OUTSIDE = {
    "/",
    "/docs",
    "/docs/assets/{file}",
    "/redoc",
    "/openapi.json",
    "/health/live",
    "/health/ready",
    "/metrics",  # asks for a token of its own
    "/ws/{room_id}",  # asks who comes, in words of its own: tests/realtime/test_admission.py
}
SOME_ID = "0190f5a0-7c3e-7b1a-9d2c-5f6e7a8b9c0d"


def operations(api: FastAPI) -> Iterator[tuple[str, RouteContext]]:
    """`POST /todos` and its route, for what stands under the prefix."""
    for route in iter_route_contexts(api.routes):
        path = route.path or ""
        if path.startswith(PREFIX):
            for method in sorted(route.methods or ()):
                yield f"{method} {path.removeprefix(PREFIX)}", route


def silent(api: FastAPI) -> set[str]:
    """Operations that do not say what they answer: neither a model, nor 204, nor a class of response."""
    return {
        name
        for name, route in operations(api)
        if not isinstance(route.original_route, APIRoute)
        or not (route.response_model or route.status_code == 204 or _has_own_class(route))
    }


def _has_own_class(route: RouteContext) -> bool:
    chosen = getattr(route.response_class, "value", route.response_class)
    return chosen is not JSONResponse


def unprotected(api: FastAPI) -> set[str]:
    """Operations that do not depend on an actor."""
    return {name for name, route in operations(api) if not _asks_who(route.dependant)}


def _asks_who(dependant: Dependant) -> bool:
    return dependant.call in {access.current, access.reading} or any(
        _asks_who(inner) for inner in dependant.dependencies
    )


def keyless(api: FastAPI) -> set[str]:
    """Unsafe operations that ignore an idempotency key."""
    return {name for name, route in _unsafe(api) if not idempotency.applies({name.split()[0]}, route.dependant)}


def forgetful(api: FastAPI) -> set[str]:
    """Unsafe operations that take a key and have nothing that claims it, or nothing that keeps their answers."""
    return {
        name
        for name, route in _unsafe(api)
        if name not in keyless(api)
        and not (
            isinstance(route.original_route, Route)
            and any(idempotency.depends_on(route.dependant, by) for by in (transaction, idempotency.keyed))
        )
    }


def _unsafe(api: FastAPI) -> Iterator[tuple[str, RouteContext]]:
    return ((name, route) for name, route in operations(api) if name.split()[0] not in SAFE_METHODS)


@pytest.fixture
def api() -> FastAPI:
    return application.create_api(Settings(_env_file=None, metrics_token=SecretStr("x" * 32)))


@pytest.fixture
def careless() -> FastAPI:
    router = APIRouter()

    @router.get("/todos")
    async def page():  # type: ignore[no-untyped-def]  # noqa: ANN202 — the carelessness
        return {}

    @router.post("/todos", status_code=204)
    async def make(_: access.CurrentActor, db: Db) -> None:
        async with db.transaction():
            pass

    api = FastAPI()
    api.include_router(router, prefix=PREFIX)
    return api


def test_every_operation_says_what_it_answers(api: FastAPI) -> None:
    assert silent(api) == set()


def test_an_operation_that_says_nothing_is_noticed(careless: FastAPI) -> None:
    assert silent(careless) == {"GET /todos"}


def test_every_operation_asks_who_is_calling_or_is_public(api: FastAPI) -> None:
    assert unprotected(api) == PUBLIC


def test_an_operation_that_does_not_ask_is_noticed(careless: FastAPI) -> None:
    assert unprotected(careless) == {"GET /todos"}


def test_every_unsafe_operation_takes_a_key_but_those_of_the_contract(api: FastAPI) -> None:
    assert keyless(api) == WITHOUT_KEY
    assert forgetful(api) == set()


def test_an_operation_that_takes_a_key_and_forgets_it_is_noticed(careless: FastAPI) -> None:
    assert (keyless(careless), forgetful(careless)) == (set(), {"POST /todos"})


def test_what_stands_outside_the_prefix_is_listed(api: FastAPI) -> None:
    paths = {route.path for route in iter_route_contexts(api.routes)}
    assert {path for path in paths if path and not path.startswith(PREFIX)} == OUTSIDE


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_without_a_credential_every_protected_operation_answers_401(
    api: FastAPI, client: httpx2.AsyncClient
) -> None:
    answers = {}
    for name, route in operations(api):
        if name not in PUBLIC:
            path = (route.path_format or "").format_map(dict.fromkeys(route.param_convertors, SOME_ID))
            method = name.split()[0]
            body = None if method in {"GET", "HEAD"} else b"{}"
            answer = await client.request(method, path, content=body, headers={"Content-Type": "application/json"})
            answers[name] = (answer.status_code, answer.headers.get("WWW-Authenticate"))
    assert answers
    assert {name: answer for name, answer in answers.items() if answer != (401, "Bearer")} == {}


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_every_operation_refuses_a_parameter_that_it_does_not_know_once_it_knows_who_asks(
    api: FastAPI, running: asgi.Running, client: httpx2.AsyncClient
) -> None:
    """Bodies are missing: even where one is needed, the parameter is what is told."""
    admin, wrong = await world.administrator(client, running), {}
    for name, route in operations(api):
        method = name.split()[0]
        path = (route.path_format or "").removeprefix(PREFIX).format_map(dict.fromkeys(route.param_convertors, SOME_ID))
        answer = await admin.request(method, path.replace(f"/events/{SOME_ID}", "/events/1") + "?lable=x")
        fields = [one["field"] for one in answer.json()["error"]["details"]] if answer.status_code == 422 else []
        if fields != ["query.lable"]:
            wrong[name] = answer.text
        if name not in PUBLIC:
            stranger = await client.request(method, f"{PREFIX}{path}?lable=x")
            assert stranger.status_code == 401, name
    assert wrong == {}
