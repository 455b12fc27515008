"""Each request gets the same answer from FastAPI and from compiled routes, and makes the same things happen."""

import itertools
import json
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple
from uuid import UUID

import httpx2
import pytest
from fastapi.security import HTTPAuthorizationCredentials
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from doable.compiled_routes import compile_routes, verdicts
from tests.compiled_routes import menagerie
from tests.support import blocking

AUTH = {"Authorization": "Bearer ana"}
JSON = {"Content-Type": "application/json"}
LEFT_TO_FASTAPI = {
    "/sync": "the endpoint is no coroutine function",
    "/text": "it has a response class of its own",
    "/files/{name:path}": "its path is not made of whole segments",
    "/files/known": "a route declared earlier may match the same paths",
}
BODIES: list[str | bytes] = [
    '{"title":"a"}', '{"title":"zero"}', '{"title":"teapot"}', '{"title":""}', '{"title":"a","x":1}', "{}", "", "[]",
    "null", "{", '{"title":"a","priority":"9"}', '{"title":"a","priority":"4","due":"2026-01-01T00:00:00Z"}',
    '{"title":1}',
    '"x"', '{"title":"\\ud800"}', '{"title":"a","priority":1e400}', '{"title":"a","priority":NaN}', "[" * 3000,
    '\ufeff{"title":"a"}', '{"title":"a","title":"b"}', b"\xff\xfe", '{"title":"\xe9"}'.encode("latin-1"),
    '{"title":"a"}'.encode("utf-16"), '{"title":"tab\t"}', '{"title":"a",}', ' {"title":"a"} \n', '{"a":1}',
    '{"a":"x"}', '{"a":2,"b":"y"}', '{"a":' + "1" * 5000 + "}",
]  # fmt: skip
TYPES = [
    "application/json",
    "application/json; charset=utf-8",
    "application/x+json",
    "text/plain",
    "",
    "APPLICATION/JSON",
]


class Sent(NamedTuple):
    method: str
    target: str
    headers: Mapping[str, str] = MappingProxyType({})
    content: str | bytes | None = None


class Application:
    def __init__(self, *, compiled: bool, root_path: str = "", **options: Any) -> None:
        self._trace: list[str] = []
        self._root_path = root_path
        self.app = menagerie.build(self._trace, **options)
        if compiled:
            compile_routes(self.app)

    async def answer(self, sent: Sent) -> object:
        """What the client gets or what leaves the application, and what has happened."""
        self._trace.clear()
        transport = httpx2.ASGITransport(self.app, root_path=self._root_path)
        content = sent.content.encode("utf-8", "surrogatepass") if isinstance(sent.content, str) else sent.content
        async with httpx2.AsyncClient(transport=transport, base_url="http://test") as client:
            try:
                answer = await client.request(sent.method, sent.target, headers=sent.headers, content=content)
            except Exception as error:  # noqa: BLE001 — any is compared
                return type(error), str(error), tuple(self._trace)
        return answer.status_code, answer.headers.raw, answer.content, tuple(self._trace)


def todo(number: int) -> str:
    return f"/todos/{UUID(int=number)}"


def paths() -> Iterator[Sent]:
    for method in ("GET", "HEAD", "POST", "OPTIONS", "DELETE", "BREW"):
        yield Sent(method, "/hello")
    for path in (
        "/hello/", "//hello", "/hello%0A", "/hell%6F", "/nope", "/", "/users/me", "/users/late", "/users/bob",
        "/users/",
        "/users/a%2Fb", "/users/%F0%9F%98%80", "/x/literal", "/users/literal", "//literal", "/files/known",
        "/files/a/b",
        "/stream", "/sync", "/text", "/api", "/api/", "/v2/api/deps",
    ):  # fmt: skip
        yield Sent("GET", path)
    for number in (1, 404, 418, 501):
        yield Sent("GET", todo(number), AUTH)
    for credential in ("Bearer bad", "Basic x", "Bearer", ""):
        yield Sent("GET", todo(1), {"Authorization": credential})
    yield Sent("GET", "/todos/xyz", AUTH)
    yield Sent("GET", "/todos/xyz")


def queries() -> Iterator[Sent]:
    for query in (
        "", "completed=true", "completed=maybe", "limit=0", "limit=101&completed=x", "limit=5&limit=7", "limit=",
        "limit",
        "&&limit=3&", "cursor=aaaaaaaaaaa", "cursor=a+b%20c", "cursor=%ff", "cursor=%zz", "kind=new&kind=old",
        "kind=bad",
        "kind=", "cursor=a;b", "=1", "l%69mit=9", "limit=1_0", "limit= 5", "cursor=&cursor=b",
    ):  # fmt: skip
        yield Sent("GET", f"/todos?{query}")
    for query in ("", "?flags=1&flags=2", "?flags=x&flags=2", "?flags="):
        yield Sent("PUT", f"/todos/5/tags/abc{query}")
        yield Sent("PUT", f"/todos/a/tags/abcdef{query}")
    for query in ("", "?q=1&size=2", "?size=x&zzz=1", "?kinds=new&kinds=bad", "?kind=bad&size=x"):
        yield Sent("GET", f"/api/filter{query}")


def bodies() -> Iterator[Sent]:
    for body, (method, path) in itertools.product(
        BODIES, (("POST", "/todos"), ("POST", "/any"), ("PATCH", "/embed/5?n=1"), ("PATCH", "/embed/x?n=z"))
    ):
        yield Sent(method, path, JSON, body)
    for media_type, path in itertools.product(TYPES, ("/todos", "/any")):
        yield Sent("POST", path, {"Content-Type": media_type}, BODIES[0])


def dependencies() -> Iterator[Sent]:
    for headers in ({}, {"token": "t"}, {"x-ids": "1"}, {"x-ids": "a", "cookie": "sid=1; a=b"}):
        for query in ("", "?size=0&page=x", "?size=5&x=3", "?x=y&size=q"):
            yield Sent("GET", f"/api/deps{query}", headers)
            yield Sent("GET", f"/api/nested{query}", headers)
    for what in ("ok", "key", "teapot", "zero", "text"):
        for query in ("", "?how=conflict", "?how=teapot", "?how=boom", "?deep=1", "?end=1"):
            yield Sent("GET", f"/v2/api/late/{what}{query}")
    for credential in ("Bearer a", "Bearer b", ""):
        yield Sent("GET", "/api/scoped", {"Authorization": credential})
    for code in ("200", "204", "205", "304", "404", "500", "299", "0", "x"):
        yield Sent("POST", f"/api/status/{code}", {}, "hi")


@pytest.mark.parametrize("options", [{}, {"root_path": "/api"}, {"strict_content_type": False}], ids=str)
@pytest.mark.parametrize("requests", [paths, queries, bodies, dependencies])
async def test_every_request_is_answered_as_fastapi_does(requests: Any, options: dict[str, Any]) -> None:
    plain, compiled = Application(compiled=False, **options), Application(compiled=True, **options)
    for sent in requests():
        assert await compiled.answer(sent) == await plain.answer(sent), sent


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["title", "tags", "a", "b"]), inner),
    max_leaves=6,
)


@pytest.mark.timeout(180)
@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    path=st.sampled_from(
        ["/todos", "/any", "/embed/1", "/api/deps", "/api/filter", "/todos/5/tags/a", "/api/status/201"]
    ),
    method=st.sampled_from(["GET", "POST", "PATCH", "PUT"]),
    query=st.dictionaries(
        st.sampled_from(["limit", "kind", "size", "page", "x", "q", "flags", "n"]), st.text(max_size=3), max_size=3
    ),
    value=_JSON,
)
def test_so_is_what_nobody_has_thought_of(path: str, method: str, query: dict[str, str], value: object) -> None:
    sent = Sent(method, f"{path}?{httpx2.QueryParams(query)}", JSON, json.dumps(value))

    async def compare() -> None:
        plain, compiled = Application(compiled=False), Application(compiled=True)
        assert await compiled.answer(sent) == await plain.answer(sent)

    blocking.run(compare())


def test_all_is_compiled_but_what_is_named_here() -> None:
    reasons = {verdict.path: verdict.reason for verdict in verdicts(menagerie.build([])) if verdict.reason}
    assert reasons == LEFT_TO_FASTAPI


async def test_a_dependency_that_is_overridden_is_fastapis_business() -> None:
    compiled = Application(compiled=True)
    sent = Sent("GET", todo(1))
    refused = await compiled.answer(sent)

    async def anybody() -> HTTPAuthorizationCredentials:
        return HTTPAuthorizationCredentials(scheme="Bearer", credentials="anybody")

    compiled.app.dependency_overrides[menagerie.BEARER] = anybody
    assert await compiled.answer(sent) == await Application(compiled=True).answer(sent._replace(headers=AUTH))
    compiled.app.dependency_overrides.clear()
    assert await compiled.answer(sent) == refused
