import asyncio
from collections.abc import AsyncIterator, MutableMapping
from pathlib import Path

import httpx2
import pytest
from fastapi import APIRouter, Request, WebSocket
from starlette.responses import StreamingResponse

from doable.core.http import exchange
from doable.core.http.routing import Route
from tests.support import asgi, edged
from tests.support.edged import Edged, raw_request, serving

DEADLINE = 0.3
router = APIRouter(route_class=Route)


@router.get("/todos/{todo_id}")
async def read(todo_id: str) -> dict[str, str]:
    return {"id": todo_id}


@router.get("/todos")
async def search() -> str:
    return "found"


@router.post("/todos")
async def create(todo: dict[str, object]) -> int:
    return len(todo)


plain = APIRouter()


@plain.post("/of-fastapi")
async def create_by_plain_route(todo: dict[str, object]) -> int:
    return len(todo)


router.include_router(plain)


@router.post("/raw")
async def raw(request: Request) -> int:
    return len(await request.body())


@router.get("/hangs")
async def hangs() -> None:
    await asyncio.Event().wait()


@router.post("/hangs")
async def hangs_after_reading(todo: dict[str, object]) -> None:  # noqa: ARG001 — to be read
    await asyncio.Event().wait()


@router.get("/slow-stream")
async def slow_stream() -> StreamingResponse:
    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(3):
            yield b"x"
            await asyncio.sleep(DEADLINE / 2)

    return StreamingResponse(chunks())


@router.get("/breaks-off")
async def breaks_off() -> StreamingResponse:
    async def chunks() -> AsyncIterator[bytes]:
        yield b"x"
        message = "the source ran dry"
        raise RuntimeError(message)

    return StreamingResponse(chunks())


@router.websocket("/ws")
async def socket(websocket: WebSocket) -> None:
    await websocket.accept()
    await websocket.close()


@pytest.fixture
async def served(tmp_path: Path) -> AsyncIterator[Edged]:
    async with serving(router, edged.settings(tmp_path), deadline=DEADLINE) as served:
        yield served


@pytest.mark.parametrize(
    "query",
    [
        "a=1&a=2",
        "a=1&a",
        "a=1&%61=2",
        "a+b=1&a%20b=2",
        "a=%",
        "a=%2",
        "a=%zz",
        "a=%ff",
        "a=%ed%a0%80",
        "a=%C3&b=%A9",
        "a=\xff",
    ],
)
async def test_an_ambiguous_or_broken_query_is_malformed(served: Edged, query: str) -> None:
    scope = {"path": "/api/v1/todos", "raw_path": b"/api/v1/todos", "query_string": query.encode("latin-1")}
    status, _, body = await raw_request(served, **scope)

    assert status == 400
    assert b"MALFORMED_REQUEST" in body


@pytest.mark.parametrize("query", ["", "a=1&b=1", "a=%C3%A9&b=+", "&&a=1&", "a==&b=%25"])
async def test_a_sound_query_passes(served: Edged, query: str) -> None:
    scope = {"path": "/api/v1/todos", "raw_path": b"/api/v1/todos", "query_string": query.encode()}
    status, _, _ = await raw_request(served, **scope)

    assert status == 200


@pytest.mark.parametrize("name", ["%", "%f", "%gg", "%ff", "%c0%af"])
async def test_a_broken_path_is_malformed(served: Edged, name: str) -> None:
    status, _, _ = await raw_request(served, path="/api/v1/todos/\ufffd", raw_path=f"/api/v1/todos/{name}".encode())

    assert status == 400


async def test_a_control_character_in_a_path_is_for_the_route_to_judge(served: Edged) -> None:
    status, _, body = await raw_request(served, path="/api/v1/todos/\0", raw_path=b"/api/v1/todos/%00")

    assert (status, body) == (200, b'{"id":"\\u0000"}')


@pytest.mark.parametrize("name", [b"content-length", b"content-type", b"authorization", b"idempotency-key"])
async def test_a_header_that_may_come_once_comes_once(served: Edged, name: bytes) -> None:
    headers = [(b"host", b"testserver"), (name, b"1"), (name, b"1")]
    status, _, body = await raw_request(served, headers=headers)

    assert status == 400
    assert name in body


@pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "zstd", "gzip, gzip", "identity"])
async def test_an_encoded_body_is_not_understood(served: Edged, coding: str) -> None:
    response = await served.client.post("/api/v1/todos", json={}, headers={"Content-Encoding": coding})

    assert response.status_code == 415
    assert response.json()["error"]["code"] == "UNSUPPORTED_MEDIA_TYPE"


@pytest.mark.parametrize(
    ("length", "status"), [(b"1048577", 413), (b"9" * 5000, 413), (b"-1", 400), (b"1e3", 400), (b"+1", 400)]
)
async def test_a_declared_length_is_judged_before_the_body_is_read(served: Edged, length: bytes, status: int) -> None:
    headers = [(b"host", b"testserver"), (b"content-length", length)]
    answered, _, _ = await raw_request(served, method="POST", path="/x", raw_path=b"/x", headers=headers)

    assert answered == status


@pytest.mark.parametrize("path", ["/api/v1/todos", "/api/v1/raw", "/api/v1/of-fastapi"])
async def test_a_body_without_a_length_is_counted_as_it_streams(served: Edged, path: str) -> None:
    sent = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal sent
        while sent < 100_000_000:
            sent += 65_536
            yield b" " * 65_536

    response = await served.client.post(path, content=endless(), headers={"Content-Type": "application/json"})

    assert response.status_code == 413
    assert response.json()["error"]["code"] == "BODY_TOO_LARGE"
    assert sent <= 1_048_576 + 2 * 65_536


async def test_a_body_of_exactly_the_limit_is_read(served: Edged) -> None:
    assert (await served.client.post("/api/v1/raw", content=b"x" * 1_048_576)).json() == 1_048_576


@pytest.mark.parametrize(("method", "code"), [("GET", "UNAVAILABLE"), ("POST", "OUTCOME_UNKNOWN")])
async def test_a_handler_that_hangs_ends_in_503(served: Edged, method: str, code: str) -> None:
    async with asyncio.timeout(10):
        response = await served.client.request(method, "/api/v1/hangs", json={})

    assert response.status_code == 503
    assert response.json()["error"]["code"] == code
    assert int(response.headers["retry-after"]) >= 0
    assert served.requests()[0]["status"] == 503
    assert "Traceback" not in served.log_text()


@pytest.mark.parametrize(("method", "code"), [("GET", "UNAVAILABLE"), ("POST", "OUTCOME_UNKNOWN")])
async def test_a_request_that_a_stopping_server_cancels_is_answered(served: Edged, method: str, code: str) -> None:
    task = asyncio.create_task(served.client.request(method, "/api/v1/hangs", json={}))
    await asyncio.sleep(DEADLINE / 4)
    task.cancel()
    response = await task
    assert (response.status_code, response.json()["error"]["code"]) == (503, code)
    assert "stopping" in response.json()["error"]["message"]


async def test_an_answer_that_has_started_is_never_cut(served: Edged) -> None:
    assert (await served.client.get("/api/v1/slow-stream")).text == "xxx"


async def test_a_slow_body_is_not_held_against_the_handler(served: Edged) -> None:
    async def slow() -> AsyncIterator[bytes]:
        for part in (b'{"a"', b": 1", b"}"):
            await asyncio.sleep(DEADLINE * 1.5)
            yield part

    response = await served.client.post("/api/v1/todos", content=slow(), headers={"Content-Type": "application/json"})

    assert (response.status_code, response.json()) == (200, 1)


async def test_a_body_that_never_ends_is_not_waited_for(served: Edged, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exchange, "BODY_SECONDS", 0.2)

    async def stuck() -> AsyncIterator[bytes]:
        yield b"{"
        await asyncio.Event().wait()

    async with asyncio.timeout(10):
        response = await served.client.post("/api/v1/raw", content=stuck())

    assert response.status_code == 400
    assert "did not arrive" in response.json()["error"]["message"]


async def test_a_failure_in_the_middle_of_an_answer_is_logged_and_the_answer_stays_incomplete(served: Edged) -> None:
    with pytest.raises(httpx2.RemoteProtocolError):
        await served.client.get("/api/v1/breaks-off")

    failure, request = served.log()
    assert "the source ran dry" in failure["exception"]
    assert failure["request_id"] == request["request_id"]


@pytest.mark.parametrize(("method", "path", "status"), [("POST", "/todos", 400), ("GET", "/slow-stream", 200)])
async def test_a_client_that_leaves_is_no_error(served: Edged, method: str, path: str, status: int) -> None:
    async def receive() -> dict[str, object]:
        return {"type": "http.disconnect"}

    async def send(message: MutableMapping[str, object]) -> None:
        if message["type"] == "http.response.body":
            raise OSError

    scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "method": method,
        "path": f"/api/v1{path}",
        "raw_path": f"/api/v1{path}".encode(),
        "query_string": b"",
        "headers": [(b"host", b"testserver")],
        "client": None,
        "root_path": "",
        "scheme": "http",
    }
    await served.running(scope, receive, send)

    assert [record["event"] for record in served.log()] == ["request"]
    assert (served.requests()[0]["status"], served.requests()[0]["client"]) == (status, "")


@pytest.mark.parametrize("can_answer", [True, False])
async def test_a_socket_of_an_unknown_host_is_refused(served: Edged, can_answer: bool) -> None:  # noqa: FBT001 — a parameter
    sent = await open_socket(served.running, b"evil.example", can_answer=can_answer)

    if can_answer:
        assert (sent[0]["type"], sent[0]["status"]) == ("websocket.http.response.start", 400)
    else:
        assert sent == [{"type": "websocket.close", "code": 1008}]


async def test_a_socket_of_a_known_host_passes_also_with_a_slash(served: Edged) -> None:
    sent = await open_socket(served.running, b"testserver", can_answer=False)

    assert [message["type"] for message in sent] == ["websocket.accept", "websocket.close"]


async def open_socket(app: asgi.Running, host: bytes, *, can_answer: bool) -> list[dict[str, object]]:
    sent: list[dict[str, object]] = []

    async def receive() -> dict[str, object]:
        return {"type": "websocket.connect"}

    async def send(message: object) -> None:
        assert isinstance(message, dict)
        sent.append(message)

    scope = {
        "type": "websocket", "path": "/api/v1/ws/", "raw_path": b"/api/v1/ws/", "query_string": b"", "root_path": "",
        "headers": [(b"host", host)], "client": ("127.0.0.1", 1), "scheme": "ws", "subprotocols": [],
        "extensions": {"websocket.http.response": {}} if can_answer else {},
    }  # fmt: skip
    await app(scope, receive, send)
    return sent
