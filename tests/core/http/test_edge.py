import asyncio
import gzip
import json
import re
from collections.abc import AsyncIterator
from pathlib import Path

import httpx2
import pytest
from fastapi import APIRouter, Request
from prometheus_client import CollectorRegistry
from starlette.responses import JSONResponse, Response, StreamingResponse

from doable.core.errors import AppException, Code
from doable.core.http.context import info
from doable.core.http.routing import Route
from tests.support import edged
from tests.support.edged import Edged, raw_request, serving

ORIGIN = "https://app.example.com"
LONG = "todo " * 400
router = APIRouter(route_class=Route)


@router.get("/todos/{todo_id}")
async def read(todo_id: str, response: Response) -> dict[str, str]:
    response.headers["ETag"] = '"e.1"'
    return {"id": todo_id}


@router.post("/todos")
async def create(title: dict[str, str]) -> dict[str, str]:
    return title


@router.get("/long")
async def long(response: Response) -> dict[str, str]:
    response.headers["ETag"] = '"e.7"'
    return {"text": LONG}


@router.get("/auth/long")
async def long_secret() -> dict[str, str]:
    return {"token": LONG}


@router.get("/users/me/tokens")
async def tokens() -> dict[str, str]:
    return {"token": LONG}


@router.get("/image")
async def image() -> Response:
    return Response(b"\x89" * 2000, media_type="image/png", headers={"X-Frame-Options": "SAMEORIGIN"})


@router.get("/stream")
async def stream() -> StreamingResponse:
    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(3):
            yield b"data: " + b"x" * 1000 + b"\n\n"

    return StreamingResponse(chunks(), media_type="text/event-stream")


@router.get("/fails")
async def fails() -> None:
    message = "the reason is for us only"
    raise RuntimeError(message)


@router.get("/private")
async def private(request: Request) -> None:
    info(request.scope).user_id = "u-1"
    raise AppException(Code.UNAUTHENTICATED, "Who are you?")


@router.get("/cached")
async def cached() -> Response:
    return JSONResponse({}, headers={"Cache-Control": "max-age=5"})


@pytest.fixture
async def served(tmp_path: Path) -> AsyncIterator[Edged]:
    async with serving(router, edged.settings(tmp_path)) as served:
        yield served


@pytest.fixture
async def shared(tmp_path: Path) -> AsyncIterator[Edged]:
    """Served to a browser client of another origin."""
    async with serving(router, edged.settings(tmp_path, cors_origins=(ORIGIN,), public_url="https://a.example")) as it:
        yield it


async def test_a_request_id_is_made_and_no_two_are_equal(served: Edged) -> None:
    made = {(await served.client.get("/api/v1/todos/1")).headers["x-request-id"] for _ in range(50)}

    assert len(made) == 50
    assert all(re.fullmatch(r"[A-Za-z0-9._-]{1,64}", request_id) for request_id in made)


async def test_a_good_request_id_of_the_client_is_kept(served: Edged) -> None:
    response = await served.client.get("/nowhere", headers={"X-Request-ID": "abc.DEF_1-2"})

    assert response.headers["x-request-id"] == "abc.DEF_1-2"
    assert response.json()["error"]["request_id"] == "abc.DEF_1-2"
    assert served.requests()[0]["request_id"] == "abc.DEF_1-2"


@pytest.mark.parametrize("claimed", ["", "a" * 65, "a b", "a\x1b[31m", "a\u202eb", 'a"b', "a\n"])
async def test_a_bad_request_id_is_replaced_and_reaches_no_log(served: Edged, claimed: str) -> None:
    headers = [(b"host", b"testserver"), (b"x-request-id", claimed.encode())]

    _, answered, _ = await raw_request(served, path="/nowhere", raw_path=b"/nowhere", headers=headers)

    assert answered[b"x-request-id"] != claimed.encode()
    assert served.requests()[0]["request_id"] == answered[b"x-request-id"].decode()


@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST:8000", "127.0.0.1:1", "[::1]:8000", "a.example", "testserver"]
)
async def test_known_hosts_are_served(tmp_path: Path, host: str) -> None:
    hosts = ("localhost", "127.0.0.1", "::1", "A.example", "testserver")
    async with serving(router, edged.settings(tmp_path, allowed_hosts=hosts)) as served:
        assert (await served.client.get("/api/v1/todos/1", headers={"Host": host})).status_code == 200


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "localhost.evil.example",
        "xlocalhost",
        "localhost.",
        "@localhost",
        "a/../localhost?x",
        "localhost:x",
        "localhost:8000:1",
        "",
        "[::1",
        "::1",
        "localhost evil",
        "sub.a.example",
    ],
)
async def test_an_unknown_host_is_refused_and_the_setting_named(tmp_path: Path, host: str) -> None:
    async with serving(router, edged.settings(tmp_path, allowed_hosts=("localhost", "a.example"))) as served:
        response = await served.client.get("/api/v1/todos/1", headers={"Host": host})

    assert response.status_code == 400
    assert response.json()["error"]["code"] == "MALFORMED_REQUEST"
    assert "evil" not in response.text
    assert "ALLOWED_HOSTS" in response.text or "valid Host header" in response.text


@pytest.mark.parametrize(
    ("allowed", "host", "status"),
    [
        ("*", "whatever.example", 200),
        (".example.com", "example.com", 200),
        (".example.com", "a.b.example.com", 200),
        (".example.com", "badexample.com", 400),
        ("*.example.com", "a.example.com", 200),
        ("*.example.com", "example.com", 400),
        ("*.example.com", "a.example.com.evil", 400),
    ],
)
async def test_an_entry_may_name_a_whole_domain(tmp_path: Path, allowed: str, host: str, status: int) -> None:
    async with serving(router, edged.settings(tmp_path, allowed_hosts=(allowed,))) as served:
        assert (await served.client.get("/api/v1/todos/1", headers={"Host": host})).status_code == status


async def test_a_request_without_host_or_with_two_is_refused(served: Edged) -> None:
    none = await raw_request(served, headers=[])
    two = await raw_request(served, headers=[(b"host", b"testserver"), (b"host", b"testserver")])

    assert (none[0], two[0]) == (400, 400)


async def test_one_trailing_slash_is_cut_off(served: Edged) -> None:
    assert (await served.client.get("/api/v1/todos/1/")).json() == {"id": "1"}
    assert (await served.client.get("/api/v1/todos/1//")).status_code == 404
    assert (await served.client.get("/api/v1/todos/1%2F")).status_code == 404
    assert (await served.client.post("/api/v1/todos/", json={"a": "b"})).json() == {"a": "b"}
    assert (await served.client.get("/")).status_code == 404


async def test_head_is_get_without_the_body(served: Edged) -> None:
    got = await served.client.get("/api/v1/long")
    head = await served.client.head("/api/v1/long")
    missing = await served.client.head("/api/v1/nowhere")

    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["content-length"] == str(len(got.text))
    assert head.headers["etag"] == got.headers["etag"]
    assert (missing.status_code, missing.content) == (404, b"")
    assert [(record["method"], record["bytes"]) for record in served.requests()[1:]] == [("HEAD", 0), ("HEAD", 0)]


async def test_head_of_a_stream_ends_at_once(served: Edged) -> None:
    async with asyncio.timeout(5):
        response = await served.client.head("/api/v1/stream")

    assert (response.status_code, response.content) == (200, b"")


async def test_every_answer_carries_the_security_headers_and_the_rate_limit(served: Edged) -> None:
    paths = ["/api/v1/todos/1", "/api/v1/fails", "/nowhere", "/health/live", "/api/v1/private"]
    answers = [await served.client.get(path) for path in paths]
    answers.append(await served.client.get("/", headers={"Host": "evil"}))
    answers.append(await served.client.post("/api/v1/todos", content=b"{"))

    for answer in answers:
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["content-security-policy"] == "default-src 'none'; frame-ancestors 'none'"
        assert answer.headers["referrer-policy"] == "no-referrer"
        assert answer.headers["x-frame-options"] == "DENY"
        assert answer.headers["cross-origin-resource-policy"] == "same-origin"
        assert answer.headers["x-request-id"]
        assert int(answer.headers["ratelimit-limit"]) > 0
        assert int(answer.headers["ratelimit-remaining"]) >= 0
        assert int(answer.headers["ratelimit-reset"]) >= 0
        assert "strict-transport-security" not in answer.headers
        assert "access-control-allow-origin" not in answer.headers


async def test_a_route_may_set_a_security_header_itself(served: Edged) -> None:
    headers = (await served.client.get("/api/v1/image")).headers

    assert headers.get_list("x-frame-options") == ["SAMEORIGIN"]
    assert headers.get_list("x-content-type-options") == ["nosniff"]


async def test_https_is_insisted_on_where_the_public_url_has_it(shared: Edged) -> None:
    assert "max-age=" in (await shared.client.get("/nowhere")).headers["strict-transport-security"]


async def test_answers_of_the_api_are_not_stored_unless_they_have_an_etag(served: Edged) -> None:
    cache = {
        path: (await served.client.get(path)).headers["cache-control"]
        for path in ("/api/v1/todos/1", "/api/v1/auth/long", "/api/v1/private", "/api/v1/cached", "/api/v1/nowhere")
    }

    assert cache == {
        "/api/v1/todos/1": "private, no-cache",
        "/api/v1/auth/long": "no-store",
        "/api/v1/private": "no-store",
        "/api/v1/cached": "max-age=5",
        "/api/v1/nowhere": "no-store",
    }


async def test_401_says_how_to_authenticate(served: Edged) -> None:
    assert (await served.client.get("/api/v1/private")).headers["www-authenticate"] == "Bearer"


async def raw_answer(served: Edged, path: str, accept_encoding: str) -> tuple[dict[bytes, bytes], bytes]:
    headers = [(b"host", b"testserver"), (b"accept-encoding", accept_encoding.encode())]
    _, answered, body = await raw_request(served, path=path, raw_path=path.encode(), headers=headers)
    return answered, body


async def test_long_answers_are_compressed_for_clients_that_accept_it(served: Edged) -> None:
    headers, body = await raw_answer(served, "/api/v1/long", "br, gzip;q=0.1")

    assert headers[b"content-encoding"] == b"gzip"
    assert headers[b"content-length"] == str(len(body)).encode()
    assert headers[b"vary"] == b"Accept-Encoding"
    assert headers[b"etag"] == b'"e.7"'
    assert json.loads(gzip.decompress(body)) == {"text": LONG}
    assert served.requests()[0]["bytes"] == len(body)


async def test_long_answers_stay_plain_for_others_and_still_vary(served: Edged) -> None:
    headers, body = await raw_answer(served, "/api/v1/long", "gzip;q=0")

    assert b"content-encoding" not in headers
    assert headers[b"vary"] == b"Accept-Encoding"
    assert json.loads(body) == {"text": LONG}


@pytest.mark.parametrize("path", ["/api/v1/auth/long", "/api/v1/users/me/tokens", "/api/v1/image", "/api/v1/todos/1"])
async def test_secrets_images_and_short_answers_are_not_compressed(served: Edged, path: str) -> None:
    headers, _ = await raw_answer(served, path, "gzip")

    assert b"content-encoding" not in headers
    assert b"vary" not in headers


async def test_a_stream_passes_as_it_comes(served: Edged) -> None:
    headers, body = await raw_answer(served, "/api/v1/stream", "gzip")

    assert b"content-encoding" not in headers
    assert len(body) == 3 * 1008


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/api/v1/todos/1", 200),
        ("GET", "/api/v1/private", 401),
        ("GET", "/api/v1/nowhere", 404),
        ("DELETE", "/api/v1/todos", 405),
        ("POST", "/api/v1/todos", 422),
        ("GET", "/api/v1/fails", 500),
        ("GET", "/api/v1/todos/1?a=1&a=2", 400),
    ],
)
async def test_a_listed_origin_may_read_every_answer(shared: Edged, method: str, path: str, status: int) -> None:
    response = await shared.client.request(method, path, headers={"Origin": ORIGIN})

    assert response.status_code == status
    assert response.headers["access-control-allow-origin"] == ORIGIN
    assert response.headers["access-control-allow-credentials"] == "true"
    exposed = response.headers["access-control-expose-headers"].lower()
    for name in ("etag", "location", "doable-position", "ratelimit-remaining", "retry-after", "x-request-id"):
        assert name in exposed
    assert "Origin" in response.headers["vary"]


async def test_a_body_that_is_too_large_is_refused_readably_for_a_listed_origin(shared: Edged) -> None:
    headers = {"Origin": ORIGIN, "Content-Type": "application/json"}
    response = await shared.client.post("/api/v1/todos", content=b" " * 1_100_000, headers=headers)

    assert response.status_code == 413
    assert response.headers["access-control-allow-origin"] == ORIGIN


@pytest.mark.parametrize(
    "origin", ["https://app.example.com.evil", "https://evil.example", "null", "http://app.example.com"]
)
async def test_other_origins_are_told_nothing(shared: Edged, origin: str) -> None:
    response = await shared.client.get("/api/v1/todos/1", headers={"Origin": origin})

    assert "access-control-allow-origin" not in response.headers
    assert "Origin" in response.headers["vary"]


async def test_a_preflight_is_answered_for_a_listed_origin_only(shared: Edged) -> None:
    asked = {"Access-Control-Request-Method": "PATCH", "Access-Control-Request-Headers": "authorization, if-match"}
    good = await shared.client.options("/api/v1/todos/1", headers={"Origin": ORIGIN, **asked})
    evil = await shared.client.options("/api/v1/todos/1", headers={"Origin": "https://evil.example", **asked})

    assert good.status_code == 200
    assert good.headers["access-control-allow-origin"] == ORIGIN
    assert "PATCH" in good.headers["access-control-allow-methods"]
    assert "Idempotency-Key" in good.headers["access-control-allow-headers"]
    assert evil.status_code == 400
    assert "access-control-allow-origin" not in evil.headers


async def test_without_origins_there_is_no_cors_at_all(served: Edged) -> None:
    asked = {"Origin": ORIGIN, "Access-Control-Request-Method": "GET"}
    answers = [
        await served.client.get("/api/v1/todos/1", headers={"Origin": ORIGIN}),
        await served.client.options("/api/v1/todos/1", headers=asked),
    ]

    assert [answer.status_code for answer in answers] == [200, 405]
    assert not [name for answer in answers for name in answer.headers if name.startswith("access-control")]


async def test_one_line_is_logged_for_a_request_with_its_template_and_no_secret(served: Edged) -> None:
    headers = {"Authorization": "Bearer canary-token", "User-Agent": "canary-agent", "Cookie": "a=canary-cookie"}
    response = await served.client.get("/api/v1/todos/canary-id?q=canary-query", headers=headers)

    (record,) = served.log()
    assert record.pop("duration_ms") >= 0
    assert record.pop("timestamp").endswith("Z")
    assert record == {
        "event": "request",
        "level": "info",
        "method": "GET",
        "route": "/api/v1/todos/{todo_id}",
        "status": 200,
        "user": None,
        "client": "127.0.0.1",
        "request_id": response.headers["x-request-id"],
        "bytes": len(response.content),
    }
    assert "canary" not in served.log_text()


async def test_the_log_names_the_user_that_a_dependency_found(served: Edged) -> None:
    await served.client.get("/api/v1/private")

    assert served.requests()[0]["user"] == "u-1"


@pytest.mark.parametrize("text", ["\x1b[31mred", "a\r\nforged", "\u202eevil", "\u2028", "é", "\x7f\x9b"])
async def test_what_a_client_writes_forges_no_line(served: Edged, text: str) -> None:
    quoted = "".join(f"%{byte:02X}" for byte in text.encode())
    agent = (b"user-agent", text.encode())
    for path in (f"/{quoted}", f"/api/v1/todos/{quoted}"):
        scope = {"raw_path": path.encode(), "path": str(httpx2.URL(f"http://x{path}").path)}
        await raw_request(served, method=text, headers=[(b"host", b"testserver"), agent], **scope)

    assert len(served.log_text().splitlines()) == 2
    assert re.fullmatch(r"[\x20-\x7e\n]+", served.log_text())
    assert [record["method"] for record in served.requests()] == ["OTHER", "OTHER"]
    assert served.requests()[0]["route"] == "unmatched"


async def test_requests_are_counted_by_template_and_invented_paths_make_no_series(served: Edged) -> None:
    for number in range(5):
        await served.client.get(f"/api/v1/todos/{number}")
        await served.client.get(f"/invented/{number}")
        await raw_request(served, method=f"M{number}", path="/x", raw_path=b"/x")

    assert count(served.metrics.registry, "GET", "/api/v1/todos/{todo_id}", 200) == 5
    assert count(served.metrics.registry, "GET", "unmatched", 404) == 5
    text = served.metrics.render().decode()
    assert "invented" not in text
    assert "M1" not in text
    assert 'doable_http_request_duration_seconds_count{route="/api/v1/todos/{todo_id}"} 5.0' in text
    assert "doable_http_requests_in_flight 0.0" in text


def count(registry: CollectorRegistry, method: str, route: str, status: int) -> float | None:
    labels = {"method": method, "route": route, "status": str(status)}
    return registry.get_sample_value("doable_http_requests_total", labels)
