"""What one request alone does not show: cancellation around it, others beside it, what a route class puts around it."""

import asyncio
import tracemalloc
from collections.abc import AsyncIterator, Callable, Coroutine
from contextvars import ContextVar
from typing import Annotated, Any

import anyio
import httpx2
import pytest
from fastapi import APIRouter, Depends, FastAPI
from fastapi.routing import APIRoute
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from doable.compiled_routes import Wraps, compile_routes, framework, query, verdicts

WHO: ContextVar[str] = ContextVar("WHO", default="nobody")

type Handler = Callable[[Request], Coroutine[Any, Any, Response]]


class Signed(APIRoute):
    """A route class with something of its own around the handler."""

    def get_route_handler(self) -> Handler:
        return sign(self, super().get_route_handler())


def sign(route: APIRoute, handle: Handler) -> Handler:
    async def signed(request: Request) -> Response:
        if "refuse" in request.query_params:
            return Response("refused", 403)
        response = await handle(request)
        response.headers["signed"] = f"{route.path} {request.scope['open']}"
        return response

    return signed


WRAPS: Wraps = {Signed: sign}


def client(app: ASGIApp) -> httpx2.AsyncClient:
    return httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url="http://test")


def application(*, compiled: bool) -> tuple[FastAPI, list[str]]:
    app, trace = FastAPI(openapi_url=None), []
    router = APIRouter(route_class=Signed)

    async def resource(request: Request) -> AsyncIterator[None]:
        with anyio.CancelScope():
            request.scope["open"] = True
            try:
                yield
            finally:
                request.scope["open"] = False
                await anyio.sleep(0.005)
                trace.append("closed")

    @router.get("/signed")
    async def signed(_: Annotated[None, Depends(resource, scope="function")]) -> str:
        return "signed"

    @app.get("/slow/{scope}")
    async def slow(_: Annotated[None, Depends(resource)]) -> None:
        await anyio.sleep(1)

    @app.get("/who/{name}")
    async def who(name: str) -> str:
        WHO.set(name)
        await asyncio.sleep(0)
        return WHO.get()

    app.include_router(router)
    if compiled:
        compile_routes(app, WRAPS)
        assert all(verdict.reason is None for verdict in verdicts(app, WRAPS) if verdict.path != "/docs")
    return app, trace


@pytest.mark.parametrize("compiled", [False, True])
async def test_what_a_route_class_puts_around_a_handler_is_inside_the_dependencies(*, compiled: bool) -> None:
    app, trace = application(compiled=compiled)
    async with client(app) as http:
        answer = await http.get("/signed")
        assert (answer.json(), answer.headers["signed"], trace) == ("signed", "/signed True", ["closed"])
        assert (await http.get("/signed?refuse=1")).status_code == 403


@pytest.mark.parametrize("compiled", [False, True])
async def test_what_is_open_is_closed_when_anyio_cancels_the_request(*, compiled: bool) -> None:
    app, trace = application(compiled=compiled)

    async def hurried(scope: Scope, receive: Receive, send: Send) -> None:
        with anyio.move_on_after(0.05):
            await app(scope, receive, send)

    async with client(hurried) as http:
        with pytest.raises(AssertionError):  # no answer
            await http.get("/slow/x")
    assert trace == ["closed"]


async def test_requests_at_the_same_time_do_not_see_each_other() -> None:
    app, _ = application(compiled=True)
    async with client(app) as http:
        answers = await asyncio.gather(*(http.get(f"/who/{number}") for number in range(50)))
    assert [answer.json() for answer in answers] == [str(number) for number in range(50)]


def test_a_route_class_of_which_nothing_is_known_is_left_to_fastapi() -> None:
    app, _ = application(compiled=False)
    reasons = {verdict.path: verdict.reason for verdict in verdicts(app)}
    assert reasons["/signed"] == "nothing is known of what a Signed does"


async def test_with_another_fastapi_nothing_is_compiled(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(framework, "is_tested", False)
    app = FastAPI()
    compile_routes(app)
    assert app.user_middleware == []
    assert "tested with FastAPI 0.165 only" in caplog.text


def test_what_strangers_ask_is_kept_only_while_it_is_short() -> None:
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        for number in range(600):
            long = f"{number}&" + "&".join(f"n{field}" for field in range(300))
            assert len(query(long.encode())) == 301
            assert query(f"{number}=a&b=".encode()) == {str(number): "a", "b": ""}
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert after - before < 2_000_000
