"""The order of a request: endpoint, serialise, commit, first byte. FastAPI has moved the end of dependencies thrice."""

from collections.abc import AsyncIterator
from typing import Annotated, Any

import httpx2
import pytest
from fastapi import APIRouter, Depends
from pydantic import BaseModel, field_serializer
from sqlalchemy import func, insert, select
from starlette.types import Message, Receive, Scope, Send

from doable.accounts import endings
from doable.app import create_api
from doable.core import failpoints, ids
from doable.core.db import Database
from doable.core.http.cycle import WHOLE
from doable.core.http.edge import Edge
from doable.core.http.routing import Route
from doable.core.http.transaction import Reads, Tx
from doable.core.queries import Query, query, scalar
from doable.core.streams import streams
from doable.core.telemetry import Metrics
from doable.settings import Settings
from tests.support import asgi

OURS = streams.c.id != endings.STREAM  # which every database has
COUNT: Query[int] = query(scalar, select(func.count().label("count")).select_from(streams).where(OURS))
INSERT = insert(streams)
trace: list[str] = []


class Made(BaseModel):
    note: str

    @field_serializer("note")
    def _serialise(self, note: str) -> str:
        trace.append("serialise")
        if note == "poison":
            message = "cannot be serialised"
            raise ValueError(message)
        return note


class Body(BaseModel):
    note: str


router = APIRouter(prefix="/probe", route_class=Route)


@router.post("")
async def make(body: Body, tx: Tx) -> Made:
    await tx.execute(INSERT, id=ids.new_id(), revision=1)
    trace.append("endpoint")
    if body.note == "bug":
        raise ZeroDivisionError
    return Made(note=body.note)


@router.post("/idle")
async def make_nothing(body: Body, tx: Tx) -> Made:
    assert not tx.begun
    return Made(note=body.note)


@router.get("/writes")
async def write_in_a_get(tx: Tx) -> None:
    await tx.execute(INSERT, id=ids.new_id(), revision=1)


@router.get("/sneaks")
async def write_through_the_reading_door(reads: Reads) -> None:
    await reads.one(query(scalar, insert(streams).values(id=ids.new_id(), revision=1).returning(streams.c.revision)))


async def _late(tx: Tx) -> AsyncIterator[None]:
    yield
    await tx.execute(INSERT, id=ids.new_id(), revision=1)


@router.post("/late")
async def write_after_the_endpoint(_: Annotated[None, Depends(_late, scope="function")]) -> None:
    """A dependency's own end still belongs to the transaction."""


@pytest.fixture
async def running(settings: Settings) -> AsyncIterator[asgi.Running]:
    api = create_api(settings)
    api.include_router(router)
    trace.clear()

    edge = Edge(api, settings, Metrics())

    async def traced(scope: Scope, receive: Receive, send: Send) -> None:
        async def watch(message: Message) -> None:
            if message["type"] == "http.response.start":
                trace.append(f"answer {message['status']}")
            await send(message)

        def given(status: int, *rest: Any) -> bool:
            trace.append(f"answer {status}")
            return bool(scope["extensions"][WHOLE]["answer"](status, *rest))

        whole = {WHOLE: {"answer": given}} if scope["type"] == "http" else {}
        await edge({**scope, "extensions": whole}, receive, watch)

    async with asgi.Running(traced) as running:
        database: Database = running.state["db"]
        database.watchers.append(_note)
        yield running


def _note(statement: str) -> None:
    word = statement.split(maxsplit=1)[0].lower()
    if word in {"begin", "commit", "rollback"}:
        trace.append(word)


async def test_nothing_is_answered_before_the_commit(running: asgi.Running, client: httpx2.AsyncClient) -> None:
    answer = await client.post("/probe", json={"note": "milk"})
    assert (answer.status_code, answer.json()) == (200, {"note": "milk"})
    assert trace == ["begin", "endpoint", "serialise", "commit", "answer 200"]
    assert await _count(running) == 1


@pytest.mark.parametrize(
    ("note", "before"), [("bug", ["begin", "endpoint"]), ("poison", ["begin", "endpoint", "serialise"])]
)
async def test_an_error_on_the_way_leaves_nothing(
    running: asgi.Running, client: httpx2.AsyncClient, note: str, before: list[str]
) -> None:
    answer = await client.post("/probe", json={"note": note})
    assert (answer.status_code, answer.json()["error"]["code"]) == (500, "INTERNAL_ERROR")
    assert trace == [*before, "rollback", "answer 500"]
    assert await _count(running) == 0


async def test_a_failing_commit_is_a_clean_error_and_leaves_nothing(
    running: asgi.Running, client: httpx2.AsyncClient
) -> None:
    failpoints.set_action("db.before_commit", "raise")
    try:
        answer = await client.post("/probe", json={"note": "milk"})
    finally:
        failpoints.set_action("db.before_commit", None)
    assert (answer.status_code, set(answer.json()["error"])) == (500, {"code", "message", "details", "request_id"})
    assert "answer 200" not in trace
    assert await _count(running) == 0
    assert (await client.post("/probe", json={"note": "milk"})).status_code == 200


@pytest.mark.parametrize("content", ['{"note": 7}', "{}", "[]", '{"note":', ""])
async def test_a_refused_body_never_opens_the_writer(client: httpx2.AsyncClient, content: str) -> None:
    answer = await client.post("/probe", content=content, headers={"Content-Type": "application/json"})
    assert answer.status_code == (400 if content.endswith(":") else 422)
    assert trace == [f"answer {answer.status_code}"]


async def test_a_route_without_a_statement_opens_nothing(client: httpx2.AsyncClient) -> None:
    assert (await client.post("/probe/idle", json={"note": "x"})).status_code == 200
    assert trace == ["serialise", "answer 200"]


@pytest.mark.parametrize("path", ["/probe/writes", "/probe/sneaks"])
async def test_a_get_cannot_write(running: asgi.Running, client: httpx2.AsyncClient, path: str) -> None:
    for method in ("GET", "HEAD"):
        assert (await client.request(method, path)).status_code in {500, 503}
    assert "commit" not in trace
    assert await _count(running) == 0


async def test_the_end_of_a_function_scoped_dependency_belongs_to_the_transaction(
    running: asgi.Running, client: httpx2.AsyncClient
) -> None:
    assert (await client.post("/probe/late")).status_code == 200
    assert trace == ["begin", "commit", "answer 200"]
    assert await _count(running) == 1


async def _count(running: asgi.Running) -> int:
    database: Any = running.state["db"]
    found: int = await database.reads.one(COUNT)
    return found
