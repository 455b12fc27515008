"""An application with one route for each thing that FastAPI can do, which writes down what happens in it."""

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Any
from uuid import UUID

from fastapi import (
    APIRouter,
    Body,
    Cookie,
    Depends,
    FastAPI,
    Header,
    HTTPException,
    Path,
    Query,
    Request,
    Response,
    Security,
)
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, PlainTextResponse, StreamingResponse
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer, OAuth2PasswordBearer, SecurityScopes
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

SOME_ID = UUID(int=7)
NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


class Kind(StrEnum):
    NEW = "new"
    OLD = "old"


class TodoIn(BaseModel):
    model_config = ConfigDict(extra="forbid")
    title: Annotated[str, Field(min_length=1, max_length=50)]
    priority: Annotated[int, Field(ge=1, le=5)] = 3
    due: AwareDatetime | None = None
    tags: list[str] = []


class TodoOut(BaseModel):
    model_config = ConfigDict(from_attributes=True)
    id: UUID
    title: str
    priority: int
    created_at: Annotated[datetime, Field(serialization_alias="createdAt")]
    note: str | None = None


class Filter(BaseModel):
    model_config = ConfigDict(extra="forbid")
    q: str | None = None
    size: int = 10
    kinds: list[Kind] = []


@dataclass
class Row:
    id: UUID
    title: str
    priority: int
    created_at: datetime
    secret: str = "hidden"


class TeapotError(Exception):
    pass


class Pager:
    def __init__(self, page: int = 1, size: Annotated[int, Query(ge=1, le=100)] = 20) -> None:
        self.page, self.size = page, size


SCOPES = OAuth2PasswordBearer(tokenUrl="token", scopes={"a": "A", "b": "B"})
BEARER = HTTPBearer()


def build(trace: list[str], **options: Any) -> FastAPI:
    """The same application each time; `trace` hears what its dependencies do."""
    app = FastAPI(openapi_url=None, **options)
    _answer_errors(app, trace)
    given = Dependencies(trace)
    _add_todos(app, given)
    _add_odd_ones(app, trace)
    router = APIRouter(prefix="/api", dependencies=[Depends(given.mark)])
    _add_dependencies(router, given)
    app.include_router(router)
    app.include_router(router, prefix="/v2")
    return app


class Dependencies:
    def __init__(self, trace: list[str]) -> None:
        self.say = trace.append

    async def user(self, token: Annotated[HTTPAuthorizationCredentials, Depends(BEARER)]) -> str:
        self.say("user")
        if token.credentials == "bad":
            raise HTTPException(401, "no", headers={"WWW-Authenticate": "Bearer"})
        return token.credentials

    async def session(self) -> AsyncIterator[int]:
        self.say("open")
        try:
            yield 1
        except BaseException as error:
            self.say(f"rollback {type(error).__name__}")
            raise
        else:
            self.say("commit")
        finally:
            self.say("close")

    async def failing_commit(self, how: str = "") -> AsyncIterator[None]:
        yield
        errors = {"conflict": HTTPException(409, "commit"), "teapot": TeapotError("commit"), "boom": OSError("commit")}
        if how in errors:
            raise errors[how]

    async def failing_end(self, end: str = "") -> AsyncIterator[None]:
        yield
        if end:
            raise TeapotError("after the answer")

    async def late(self) -> AsyncIterator[str]:
        self.say("late open")
        try:
            yield "late"
        except TeapotError:
            raise HTTPException(418, "translated") from None
        finally:
            self.say("late close")

    def sync(self, x: int = 1) -> int:
        self.say("sync")
        return x * 2

    async def leaf(self, token: Annotated[str | None, Header()] = None) -> str:
        self.say("leaf")
        return f"leaf:{token}"

    async def mark(self, response: Response) -> None:
        response.headers["x-mark"] = "1"
        response.set_cookie("seen", "yes")


def _answer_errors(app: FastAPI, trace: list[str]) -> None:
    @app.exception_handler(TeapotError)
    async def teapot(request: Request, error: TeapotError) -> JSONResponse:
        body = (await request.body()).decode("utf-8", "replace")
        return JSONResponse({"teapot": str(error), "path": request.url.path, "body": body}, 418)

    @app.exception_handler(404)
    async def missing(request: Request, error: HTTPException) -> JSONResponse:
        return JSONResponse({"missing": str(request.url), "detail": error.detail}, 404)

    @app.exception_handler(RequestValidationError)
    async def invalid(_: Request, error: RequestValidationError) -> JSONResponse:
        trace.append(f"invalid {len(error.errors())}")
        return JSONResponse({"errors": repr(error.errors()), "body": repr(error.body), "text": str(error)}, 422)

    @app.exception_handler(ZeroDivisionError)
    def zero(request: Request, _: ZeroDivisionError) -> Response:
        if request.query_params.get("deep"):
            raise TeapotError("from a handler")
        return PlainTextResponse("division", 400)


def _add_todos(app: FastAPI, given: Dependencies) -> None:  # noqa: C901 — many routes, no branches
    @app.get("/hello")
    async def hello() -> Any:
        return {"hello": "world", "n": [1, 2.5, None, True, "é\u2028<&>"], "_sa_x": 1, 3: {"_x": 1}}

    @app.get("/todos/{todo_id}", response_model=TodoOut)
    async def get_todo(
        todo_id: UUID,
        _: Annotated[str, Depends(given.user)],
        __: Annotated[int, Depends(given.session, scope="function")],
    ) -> Any:
        errors: dict[int, Exception] = {404: HTTPException(404, "no such todo"), 418: TeapotError("todo")}
        if todo_id.int in errors:
            raise errors[todo_id.int]
        return {"id": "nope"} if todo_id.int == 501 else Row(SOME_ID, "Buy milk", 3, NOW)

    @app.get("/todos")
    async def list_todos(
        completed: bool = False,  # noqa: FBT001, FBT002
        limit: Annotated[int, Query(ge=1, le=100)] = 20,
        cursor: Annotated[str | None, Query(max_length=10)] = None,
        kinds: Annotated[list[Kind] | None, Query(alias="kind")] = None,
    ) -> dict[str, Any]:
        return {"completed": completed, "limit": limit, "cursor": cursor, "kinds": kinds}

    @app.post("/todos", status_code=201, response_model=TodoOut, response_model_exclude_none=True)
    async def create_todo(
        todo: TodoIn, _: Annotated[int, Depends(given.session, scope="function")], response: Response
    ) -> Any:
        response.headers["location"] = "/todos/7"
        if todo.title == "zero":
            raise ZeroDivisionError
        if todo.title == "teapot":
            raise TeapotError("create")
        return Row(SOME_ID, todo.title, todo.priority, NOW)

    @app.put("/todos/{todo_id}/tags/{tag}", status_code=204)
    async def tag(
        todo_id: int, tag: Annotated[str, Path(max_length=5)], flags: Annotated[tuple[int, ...], Query()] = (1,)
    ) -> None:
        given.say(f"{todo_id} {tag} {flags}")

    @app.patch("/embed/{number}")
    async def embed(
        number: int, a: Annotated[int, Body()], b: Annotated[str, Body()] = "x", n: float | None = None
    ) -> list[Any]:
        return [number, a, b, n]

    @app.post("/any")
    async def anything(value: Annotated[Any, Body()] = None) -> Any:
        return {"type": type(value).__name__, "value": value.hex() if isinstance(value, bytes) else value}


def _add_dependencies(router: APIRouter, given: Dependencies) -> None:  # noqa: C901 — the same
    async def left(value: Annotated[str, Depends(given.leaf)], size: int = 3) -> str:
        return f"left({value},{size})"

    async def right(
        value: Annotated[str, Depends(given.leaf)], fresh: Annotated[str, Depends(given.leaf, use_cache=False)]
    ) -> str:
        return f"right({value},{fresh})"

    async def scoped(scopes: SecurityScopes, token: Annotated[str, Depends(SCOPES)]) -> str:
        if "b" in scopes.scopes and token != "b":
            raise HTTPException(403, f"needs {scopes.scope_str}")
        return f"{token}:{scopes.scope_str}"

    @router.get("/deps", dependencies=[Depends(given.leaf)])
    async def deps(
        a: Annotated[str, Depends(left)],
        b: Annotated[str, Depends(right)],
        p: Annotated[Pager, Depends()],
        n: Annotated[int, Depends(given.sync)],
        late: Annotated[str, Depends(given.late)],
        x_ids: Annotated[list[int] | None, Header()] = None,
        sid: Annotated[str | None, Cookie()] = None,
    ) -> list[Any]:
        return [a, b, p.page, p.size, n, late, x_ids, sid]

    @router.get("/nested")
    async def nested(a: Annotated[str, Depends(left)], n: Annotated[int, Depends(given.sync)]) -> list[Any]:
        return [a, n]

    @router.get("/late/{what}")
    async def late(
        what: str,
        late: Annotated[str, Depends(given.late)],
        _: Annotated[int, Depends(given.session, scope="function")],
        __: Annotated[None, Depends(given.failing_commit, scope="function")],
        ___: Annotated[None, Depends(given.failing_end)],
    ) -> Any:
        errors = {"key": KeyError("k"), "teapot": TeapotError("late"), "zero": ZeroDivisionError()}
        if what in errors:
            raise errors[what]
        return PlainTextResponse("plain", 202, headers={"x-a": "b"}) if what == "text" else {"late": late}

    @router.get("/scoped")
    async def both(
        a: Annotated[str, Security(scoped, scopes=["a"])], b: Annotated[str, Security(scoped, scopes=["b"])]
    ) -> list[str]:
        return [a, b]

    @router.get("/filter")
    async def filtered(chosen: Annotated[Filter, Query()], kind: Kind = Kind.NEW) -> list[Any]:
        return [chosen, kind]

    @router.post("/status/{code}")
    async def dynamic(code: int, response: Response, request: Request) -> Any:
        response.status_code = code
        return [(await request.body()).decode("latin-1"), str(request.url_for("dynamic", code=3))]


def _add_odd_ones(app: FastAPI, trace: list[str]) -> None:
    """Routes that have to be left alone, and routes that hide each other."""

    @app.get("/sync")
    def sync() -> str:
        trace.append("sync endpoint")
        return "sync"

    @app.get("/text", response_class=PlainTextResponse)
    async def text() -> str:
        return "text"

    @app.get("/stream")
    async def stream() -> StreamingResponse:
        def parts() -> Iterator[str]:
            yield "a"
            trace.append("streamed")

        return StreamingResponse(parts())

    for path in ("/users/me", "/users/{name}", "/users/late", "/{a}/literal"):
        app.get(path)(_naming(path))
    app.get("/files/{name:path}")(_naming("/files/{name:path}"))
    app.get("/files/known")(_naming("/files/known"))


def _naming(path: str) -> Any:
    async def named(request: Request) -> list[Any]:
        return [path, request.path_params]

    return named
