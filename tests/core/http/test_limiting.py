"""Who is counted in which budget, what a refusal says, and whose word is taken for where a request comes from."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated

import httpx2
import pytest
from fastapi import FastAPI, Header, Request
from fastapi.responses import JSONResponse
from starlette.types import Message, Receive, Scope, Send

from doable.core.errors import AppException
from doable.core.http import limiting
from doable.core.http.context import RequestInfo, info
from doable.core.limits import Limiter
from doable.core.redis import connect
from tests.support import asgi, configuration

LIMIT = 5
PROXY = ("10.0.0.1", 40000)


class Edge:
    """The part of the real edge that limits need: it names the client and completes the headers."""

    def __init__(self, app: FastAPI, trusted: tuple[str, ...]) -> None:
        self._app = app
        self._trusted = limiting.networks(trusted)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        scope["state"]["info"] = RequestInfo("id", limiting.client_address(scope, self._trusted))

        async def complete(message: Message) -> None:
            if message["type"] == "http.response.start":
                limit = info(scope).limit or limiting.network_decision(scope)
                message["headers"] = [*message["headers"], *limiting.headers(limit)]
            await send(message)

        await self._app(scope, receive, complete)


@asynccontextmanager
async def running(folder: Path, redis_url: str | None = None) -> AsyncIterator[asgi.Running]:
    settings = configuration.make_settings("sqlite:///unused", folder, rate_limit_per_minute=LIMIT)

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[dict[str, object]]:
        client = connect(redis_url) if redis_url else None
        limiter = Limiter(client)
        await limiter.start()
        yield {"settings": settings, "limiter": limiter}
        await limiter.close()
        if client:
            await client.aclose()

    app = FastAPI(lifespan=lifespan)

    @app.exception_handler(AppException)
    async def refuse(_request: Request, error: AppException) -> JSONResponse:
        return JSONResponse({"code": error.code, "message": error.message}, error.code.status, error.headers)

    @app.post("/login", dependencies=[limiting.SharedNetworkBudget])
    async def login() -> None: ...

    @app.post("/refresh", dependencies=[limiting.NetworkBudget])
    async def refresh() -> None: ...

    @app.get("/todos")
    async def read(request: Request, user: Annotated[str, Header()]) -> None:
        limiting.charge(request, user, "read")

    @app.post("/todos")
    async def write(request: Request, user: Annotated[str, Header()]) -> None:
        limiting.charge(request, user, "write")

    async with asgi.Running(Edge(app, ("10.0.0.0/8",))) as opened:
        yield opened


@pytest.fixture(params=["alone", "with redis"])
async def server(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[asgi.Running]:
    redis_url = request.getfixturevalue("redis_url") if request.param == "with redis" else None
    async with running(tmp_path, redis_url) as opened:
        yield opened


def client_at(server: asgi.Running, address: str, **headers: str) -> httpx2.AsyncClient:
    transport = asgi.Transport(server, client=(address, 40000))
    return httpx2.AsyncClient(transport=transport, base_url="http://testserver", headers=headers)


def rate(response: httpx2.Response) -> tuple[int, int, int]:
    names = ("limit", "remaining", "reset")
    limit, remaining, reset = (int(response.headers[f"ratelimit-{name}"]) for name in names)
    return limit, remaining, reset


async def test_every_answer_counts_down_and_the_one_beyond_says_when_to_come_back(server: asgi.Running) -> None:
    async with client_at(server, "192.0.2.1") as client:
        for i in range(LIMIT):
            response = await client.post("/login")
            assert response.status_code == 200
            assert rate(response) == (LIMIT, LIMIT - 1 - i, 12 * (i + 1))
        refused = await client.post("/login")
        assert refused.status_code == 429
        assert refused.json()["code"] == "RATE_LIMITED"
        assert 1 <= int(refused.headers["retry-after"]) <= 12
        assert refused.headers["retry-after"] in refused.json()["message"]
        assert rate(refused)[:2] == (LIMIT, 0)


async def test_a_network_has_one_budget_for_all_public_routes(server: asgi.Running) -> None:
    async with client_at(server, "192.0.2.1") as one, client_at(server, "192.0.2.254") as neighbour:
        for _ in range(LIMIT):
            assert (await one.post("/refresh")).status_code == 200
        assert (await neighbour.post("/login")).status_code == 429
        assert (await neighbour.post("/refresh")).status_code == 429
    async with client_at(server, "192.0.3.1") as stranger:
        assert (await stranger.post("/login")).status_code == 200


async def test_each_person_has_a_budget_for_each_group(server: asgi.Running) -> None:
    async with client_at(server, "192.0.2.1", user="ann") as ann, client_at(server, "192.0.2.1", user="bob") as bob:
        for _ in range(LIMIT):
            assert (await ann.get("/todos")).status_code == 200
        assert (await ann.get("/todos")).status_code == 429
        assert (await ann.post("/todos")).status_code == 200
        assert (await bob.get("/todos")).status_code == 200
        assert (await ann.post("/login")).status_code == 200


async def test_an_answer_that_charged_nobody_has_the_headers_and_is_never_refused(server: asgi.Running) -> None:
    async with client_at(server, "192.0.2.1") as client:
        remaining = []
        for _ in range(LIMIT + 2):
            response = await client.get("/unknown")
            assert response.status_code == 404
            remaining.append(rate(response)[1])
        assert remaining == [4, 3, 2, 1, 0, 0, 0]
        assert rate(await client.post("/login"))[1] == LIMIT - 1


async def test_headers_that_anybody_can_send_open_no_new_budget(server: asgi.Running) -> None:
    names = ("X-Forwarded-For", "X-Real-IP", "Forwarded", "CF-Connecting-IP", "True-Client-IP")
    async with client_at(server, "192.0.2.1") as client:
        statuses = [
            (await client.post("/login", headers=dict.fromkeys(names, f"198.51.{i}.1"))).status_code
            for i in range(LIMIT + 3)
        ]
    assert statuses == [200] * LIMIT + [429] * 3


async def test_clients_behind_one_trusted_proxy_have_budgets_of_their_own(server: asgi.Running) -> None:
    async with client_at(server, PROXY[0]) as proxy:
        for _ in range(LIMIT):
            await proxy.post("/login", headers={"X-Forwarded-For": "198.51.100.1"})
        spoofed = {"X-Forwarded-For": "203.0.113.9, 198.51.100.1"}
        assert (await proxy.post("/login", headers=spoofed)).status_code == 429
        assert (await proxy.post("/login", headers={"X-Forwarded-For": "203.0.113.9"})).status_code == 200


def cases() -> Iterator[tuple[str, str, list[str], str]]:
    yield "peer nobody trusts", "192.0.2.1", ["198.51.100.1"], "192.0.2.1"
    yield "no header", "10.0.0.1", [], "10.0.0.1"
    yield "one hop", "10.0.0.1", ["198.51.100.1"], "198.51.100.1"
    yield "rightmost hop that nobody trusts", "10.0.0.1", ["6.6.6.6, 198.51.100.1"], "198.51.100.1"
    yield "chain of trusted proxies", "10.0.0.1", ["6.6.6.6, 198.51.100.1, 10.9.9.9,10.0.0.2"], "198.51.100.1"
    yield "trusted IPv6 proxy", "fd00::1", ["2001:db8::7, 10.0.0.2"], "2001:db8::7"
    yield "trusted all the way", "10.0.0.1", ["10.0.0.3, 10.0.0.2"], "10.0.0.3"
    yield "several headers", "10.0.0.1", ["6.6.6.6", "198.51.100.1", "10.0.0.2"], "198.51.100.1"
    yield "port", "10.0.0.1", ["198.51.100.1:5000"], "198.51.100.1"
    yield "IPv6", "10.0.0.1", ["2001:DB8:0::1"], "2001:db8::1"
    yield "IPv6 in brackets", "10.0.0.1", ["[2001:db8::1]"], "2001:db8::1"
    yield "IPv6 with a port", "10.0.0.1", ["[2001:db8::1]:443"], "2001:db8::1"
    yield "IPv6 with a zone", "10.0.0.1", ["fe80::1%eth0"], "fe80::1"
    yield "IPv4 as IPv6", "10.0.0.1", ["::ffff:198.51.100.1"], "198.51.100.1"
    yield "proxy as IPv6", "::ffff:10.0.0.1", ["198.51.100.1"], "198.51.100.1"
    yield "hop of a proxy as IPv6", "10.0.0.1", ["198.51.100.1, ::ffff:10.0.0.2"], "198.51.100.1"
    yield "peer as IPv6", "::ffff:192.0.2.1", [], "192.0.2.1"
    for garbage in ("unknown", "", " ", "_hidden", "1.2.3", "1.2.3.4.5", "01.2.3.4", "[::1", "::1]", "[::1]x", "[]:1",
                    "1.2.3.4:x", "1.2.3.4:", "1.2.3.4:123456", "300.1.1.1", "\xb9.2.3.4", "unix:", "a:b:c",
                    "1.2.3.4 5.6.7.8", "'1.2.3.4'", "%", "::1%a%b"):  # fmt: skip
        yield f"garbage {garbage!r}", "10.0.0.1", [f"6.6.6.6, {garbage}"], "10.0.0.1"
        yield f"garbage {garbage!r} before a proxy", "10.0.0.1", [f"6.6.6.6, {garbage}, 10.0.0.2"], "10.0.0.2"
        yield f"garbage {garbage!r} before a client", "10.0.0.1", [f"{garbage}, 6.6.6.6"], "6.6.6.6"


@pytest.mark.parametrize(("peer", "values", "client"), [pytest.param(*case, id=name) for name, *case in cases()])
def test_the_client_is_the_last_hop_that_a_trusted_proxy_vouches_for(peer: str, values: list[str], client: str) -> None:
    scope = {
        "client": (peer, 40000),
        "headers": [(b"x-forwarded-for", value.encode("latin-1")) for value in values],
    }
    assert limiting.client_address(scope, limiting.networks(["10.0.0.0/8", "fd00::/8"])) == client


@pytest.mark.parametrize("client", [None, ("", 0), ("/run/doable.sock", 0), ("testclient", 1)])
def test_a_peer_without_an_address_is_unknown_and_vouches_for_nobody(client: tuple[str, int] | None) -> None:
    scope = {"client": client, "headers": [(b"x-forwarded-for", b"6.6.6.6")]}
    assert limiting.client_address(scope, limiting.networks(["0.0.0.0/0", "::/0"])) == ""
    assert limiting.client_address({"headers": []}, ()) == ""


@pytest.mark.parametrize(
    ("client", "network"),
    [
        ("192.0.2.77", "192.0.2.0/24"),
        ("::ffff:192.0.2.77", "192.0.2.0/24"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("::1", "::/64"),
        ("", "unknown"),
        ("testclient", "unknown"),
    ],
)
def test_neighbours_share_a_network(client: str, network: str) -> None:
    assert limiting.network_of(client) == network
