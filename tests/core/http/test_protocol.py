"""Limits, deadlines and framing of requests, over real connections to a real uvicorn, on both event loops."""

import asyncio
import time
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from types import SimpleNamespace

import pytest
from structlog.testing import capture_logs

from doable.core.http.protocol import BoundedHttpProtocol
from tests.support.raw_requests import BAD, CHUNKED, GET, GOOD, KIB, MIB, POST, PROBE
from tests.support.wire import Echo, Wire, serving

type Serve = Callable[..., int]


@pytest.fixture(params=["asyncio", "uvloop"])
def loop(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def app() -> Echo:
    return Echo()


@pytest.fixture
def serve(app: Echo, loop: str) -> Iterator[Serve]:
    """Starts a server whose protocol has the given limits, and gives its port."""
    with ExitStack() as stack:

        def start(ws: type[asyncio.Protocol] | str = "none", keep_alive: int = 5, **limits: float) -> int:
            protocol = type("Protocol", (BoundedHttpProtocol,), limits)
            return stack.enter_context(serving(app, protocol, loop=loop, ws=ws, timeout_keep_alive=keep_alive))

        yield start


def eventually(condition: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + 10
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.02)
    return condition()


def dripped_until_cut(wire: Wire, data: bytes) -> bool:
    deadline = time.monotonic() + 10
    try:
        while time.monotonic() < deadline:
            wire.send(data)
            time.sleep(0.05)
    except ConnectionError:
        return True
    return False


# Heads


@pytest.mark.parametrize("piece", [None, 7])
def test_a_good_request_gets_one_answer_and_so_does_the_next(serve: Serve, app: Echo, piece: int | None) -> None:
    port = serve()
    for name, request in GOOD.items():
        with Wire(port) as wire:
            wire.send(request, piece if len(request) < MIB else None)
            reply = wire.reply()
            assert (name, reply.status) == (name, 200)
            wire.send(PROBE)
            assert wire.reply().json["path"] == "/probe", name
            assert wire.ended(), name
    bodies = {body for path, body in app.seen if path == "/a"}
    assert len(app.seen) == 2 * len(GOOD)
    assert bodies == {b"", b"abc", b"x" * MIB}


@pytest.mark.parametrize("piece", [None, 7])
def test_a_bad_request_gets_one_refusal_and_nothing_after_it_is_read(
    serve: Serve, app: Echo, piece: int | None
) -> None:
    port = serve()
    for name, (status, request) in BAD.items():
        with Wire(port) as wire:
            wire.send(request + PROBE, piece if len(request) < MIB else None)
            reply = wire.reply()
            assert (name, reply.status) == (name, status)
            assert wire.ended(), name
    assert {body for _, body in app.seen} <= {"disconnect"}, "a refused request was seen whole, or the one after it"


@pytest.mark.parametrize("name", ["two hosts", "a body of 1 MiB and a byte", "101 fields"])
def test_a_refusal_has_the_shape_of_the_contract(serve: Serve, name: str) -> None:
    codes = {400: "MALFORMED_REQUEST", 413: "BODY_TOO_LARGE", 431: "HEADERS_TOO_LARGE"}
    status, request = BAD[name]
    with capture_logs() as log, Wire(serve()) as wire:
        wire.send(request)
        reply = wire.reply()
        assert wire.ended()
    error = reply.json["error"]
    assert set(error) == {"code", "message", "details", "request_id"}
    assert (error["code"], error["details"]) == (codes[status], None)
    assert reply.headers["x-request-id"] == error["request_id"]
    assert reply.headers["content-type"] == "application/json"
    assert reply.headers["connection"] == "close"
    assert reply.headers["cache-control"] == "no-store"
    assert reply.headers["x-content-type-options"] == "nosniff"
    assert "date" in reply.headers
    (line,) = [line for line in log if line["event"] == "request_refused"]
    assert (line["code"], line["client"], line["reason"]) == (codes[status], "127.0.0.1", error["message"])


def test_trailers_do_not_become_headers(serve: Serve) -> None:
    with Wire(serve()) as wire:
        wire.send(POST + b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nAuthorization: Bearer x\r\n\r\n")
        names = {name for name, _ in wire.reply().json["headers"]}
    assert names == {"host", "transfer-encoding"}


def test_what_follows_an_ignored_upgrade_is_its_body_and_not_a_request(serve: Serve, app: Echo) -> None:
    inner = b"GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n"
    with Wire(serve()) as wire:
        wire.send(POST + b"Connection: upgrade\r\nUpgrade: h2c\r\nContent-Length: %d\r\n\r\n" % len(inner))
        time.sleep(0.1)
        wire.send(inner + PROBE)
        assert wire.reply().json["body"] == inner.decode()
        assert wire.reply().json["path"] == "/probe"
        assert wire.ended()
    assert [path for path, _ in app.seen] == ["/a", "/probe"]


def test_many_ignored_upgrades_in_one_read_are_refused_and_do_not_exhaust_the_stack(serve: Serve) -> None:
    with Wire(serve()) as wire:
        wire.send((GET + b"Connection: upgrade\r\nUpgrade: h2c\r\n\r\n") * 1000)
        replies = [wire.reply().status]
        while replies[-1] == 200:
            replies.append(wire.reply().status)
        assert wire.ended()
    assert replies[-1] == 429


# Order


def test_pipelined_requests_are_answered_in_order(serve: Serve) -> None:
    with Wire(serve()) as wire:
        paths = [f"/slow?{number}" if number == 1 else f"/{number}" for number in range(20)]
        wire.send(b"".join(b"GET %s HTTP/1.1\r\nHost: a\r\n\r\n" % path.encode() for path in paths))
        assert [wire.reply().json["path"] for _ in paths] == [path.partition("?")[0] for path in paths]


@pytest.mark.parametrize("name", ["two hosts", "a chunk without its end", "chunks of 1 MiB and a byte"])
def test_a_refusal_waits_until_the_requests_before_it_are_answered(serve: Serve, app: Echo, name: str) -> None:
    status, request = BAD[name]
    with Wire(serve()) as wire:
        wire.send(b"GET /slow HTTP/1.1\r\nHost: a\r\n\r\n" + GET + b"\r\n" + request)
        assert wire.reply().json["path"] == "/slow"
        assert wire.reply().json["path"] == "/a"
        assert wire.reply().status == status
        assert wire.ended()
    assert app.seen[:2] == [("/slow", b""), ("/a", b"")]
    assert set(app.seen[2:]) <= {("/a", "disconnect")}


def test_more_pipelined_requests_than_may_wait_are_refused_after_those_that_may(serve: Serve) -> None:
    with Wire(serve(PIPELINED=3)) as wire:
        wire.send((GET + b"\r\n") * 50)
        assert [wire.reply().status for _ in range(5)] == [200, 200, 200, 200, 429]
        assert wire.ended()


# Size


def test_a_body_of_60_mb_is_answered_413_and_not_kept(serve: Serve, app: Echo) -> None:
    port = serve()
    block = b"x" * 64 * KIB
    cases = (
        (POST + b"Content-Length: %d\r\n\r\n" % (960 * len(block)), block),
        (CHUNKED, b"%x\r\n%b\r\n" % (len(block), block)),
    )
    for head, piece in cases:
        with Wire(port) as wire:
            tracemalloc.start()
            wire.send(head)
            for _ in range(960):
                wire.send(piece)
            assert wire.reply().json["error"]["code"] == "BODY_TOO_LARGE"
            assert wire.ended()
            _, peak = tracemalloc.get_traced_memory()
            tracemalloc.stop()
        assert peak < 8 * MIB
    assert eventually(lambda: app.seen == [("/a", "disconnect")])


def test_a_client_that_never_stops_is_cut_off(serve: Serve) -> None:
    with Wire(serve(LINGER_BYTES=MIB)) as wire:
        wire.send(POST + b"Content-Length: 60000000\r\n\r\n")
        with pytest.raises(ConnectionError):
            wire.send(b"x" * 60_000_000, 64 * KIB)


@pytest.mark.parametrize(
    ("status", "start", "more"),
    [
        (431, GET + b"X: ", b"x" * KIB),
        (431, GET + b"X", b"x" * KIB),
        (431, GET, b"X: y\r\n"),
        (431, b"GET /", b"x" * KIB),
        (431, b"\r\n", b"\r\n" * KIB),
        (400, CHUNKED + b"1;", b"x" * KIB),
        (400, CHUNKED, b"0" * KIB),
        (400, CHUNKED + b"0\r\nX: ", b"x" * KIB),
        (400, CHUNKED + b"1\r\nx\r\n0\r\nX", b"x" * KIB),
    ],
)
def test_what_never_ends_is_refused_with_little_of_it_in_memory(
    serve: Serve, status: int, start: bytes, more: bytes
) -> None:
    with Wire(serve()) as wire:
        tracemalloc.start()
        wire.send(start)
        for _ in range(4 * MIB // (64 * KIB)):
            wire.send(more * (64 * KIB // len(more)))
        assert wire.reply().status == status
        assert wire.ended()
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert peak < 8 * MIB


def test_a_body_in_chunks_of_a_byte_is_accepted(serve: Serve) -> None:
    with Wire(serve()) as wire:
        wire.send(CHUNKED + b"1\r\nx\r\n" * 100_000 + b"0\r\n\r\n")
        assert len(wire.reply().json["body"]) == 100_000


def test_a_body_that_grows_too_large_after_its_answer_began_ends_the_connection(serve: Serve, app: Echo) -> None:
    with Wire(serve(LINGER_SECONDS=60)) as wire:
        wire.send(CHUNKED.replace(b"/a", b"/early"))
        assert wire._until(b"\r\n\r\n").startswith(b"HTTP/1.1 200")
        wire._input = b""
        wire.send(b"%x\r\n" % (2 * MIB) + b"x" * 2 * MIB)
        assert wire.ended()
        assert eventually(lambda: app.seen == [("/early", "disconnect")])


def test_an_app_that_answers_without_reading_does_not_add_to_a_refusal(
    serve: Serve, app: Echo, caplog: pytest.LogCaptureFixture
) -> None:
    with Wire(serve(LINGER_SECONDS=60)) as wire:
        wire.send(b"POST /unread/slow HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nnonsense")
        assert wire.reply().status == 400
        assert wire.ended()
        assert eventually(lambda: app.seen == [("/unread/slow", "unread")])
    assert not [record for record in caplog.records if record.levelname == "ERROR"]


def test_expect_continue_gets_413_and_never_100_for_a_body_too_large(serve: Serve) -> None:
    with Wire(serve()) as wire:
        wire.send(POST + b"Expect: 100-continue\r\nContent-Length: 2000000\r\n\r\n")
        assert wire.reply().status == 413
        assert wire.ended()


def test_expect_continue_is_continued_when_the_app_reads(serve: Serve) -> None:
    with Wire(serve()) as wire:
        wire.send(POST + b"Expect: 100-continue\r\nContent-Length: 3\r\n\r\n")
        assert wire.reply().status == 100
        wire.send(b"abc")
        assert wire.reply().json["body"] == "abc"
        assert wire.ended()


def test_an_expectation_answered_unread_ends_the_connection(serve: Serve, app: Echo) -> None:
    with Wire(serve()) as wire:
        wire.send(b"POST /unread HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 60\r\n\r\n")
        reply = wire.reply()
        assert (reply.status, reply.headers["connection"]) == (200, "close")
        assert wire.ended()
    assert len(app.seen) == 1


# Time


@pytest.mark.parametrize("start", [b"", b"G", b"\r\n", GET, GET + b"X: ", b"GET /"])
def test_a_head_that_is_not_complete_in_time_ends_the_connection(serve: Serve, start: bytes) -> None:
    with Wire(serve(HEAD_SECONDS=0.4)) as wire:
        if start:
            wire.send(start)
        assert wire.cut()


@pytest.mark.parametrize(("start", "drip"), [(GET + b"X: ", b"x"), (b"\r\n", b"\r\n"), (GET + b"\r\n", b"\r\n")])
def test_a_head_in_drips_does_not_buy_time(serve: Serve, start: bytes, drip: bytes) -> None:
    with Wire(serve(HEAD_SECONDS=0.4)) as wire:
        wire.send(start)
        assert dripped_until_cut(wire, drip)


def test_the_deadline_of_a_head_begins_with_its_first_byte(serve: Serve) -> None:
    with Wire(serve(HEAD_SECONDS=1.2)) as wire:
        time.sleep(0.9)
        wire.send(GET)
        time.sleep(0.7)
        wire.send(b"\r\n")
        assert wire.reply().status == 200


def test_an_idle_connection_is_kept_for_uvicorns_time_and_not_ours(serve: Serve) -> None:
    with Wire(serve(HEAD_SECONDS=0.2, keep_alive=2)) as wire:
        for _ in range(2):
            wire.send(GET + b"\r\n")
            assert wire.reply().status == 200
            time.sleep(0.6)
        wire.send(GET + b"\r\n")
        assert wire.reply().status == 200
    with Wire(serve(HEAD_SECONDS=20, keep_alive=1)) as wire:
        wire.send(GET + b"\r\n")
        assert wire.reply().status == 200
        assert wire.ended()


def test_the_time_of_the_app_is_not_the_clients(serve: Serve) -> None:
    with Wire(serve(HEAD_SECONDS=0.3, BODY_GRACE_SECONDS=0.3, BODY_SECONDS=0.4)) as wire:
        wire.send(b"POST /slow HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc\r\n")  # an empty line too much
        time.sleep(0.1)
        wire.send(GET)  # half of the next
        assert wire.reply().json["path"] == "/slow"
        wire.send(b"\r\n")
        assert wire.reply().json["path"] == "/a"


def test_a_body_that_the_app_is_slow_to_read_is_not_cut(serve: Serve) -> None:
    with Wire(serve(BODY_GRACE_SECONDS=0.3, BODY_SECONDS=0.4)) as wire:
        wire.send(b"POST /lazy HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n" + b"x" * 1_000_000)
        assert len(wire.reply().json["body"]) == 1_000_000


def test_a_body_that_stops_ends_the_connection_and_the_app_sees_it(serve: Serve, app: Echo) -> None:
    with Wire(serve(BODY_GRACE_SECONDS=0.4)) as wire:
        wire.send(POST + b"Content-Length: 3\r\n\r\na")
        assert wire.cut()
    assert eventually(lambda: app.seen == [("/a", "disconnect")])


def test_a_body_slower_than_the_least_rate_ends_the_connection(serve: Serve, app: Echo) -> None:
    with Wire(serve(BODY_GRACE_SECONDS=0.4)) as wire:
        wire.send(POST + b"Content-Length: 100000\r\n\r\n")
        assert dripped_until_cut(wire, b"x" * 10)
    assert eventually(lambda: app.seen == [("/a", "disconnect")])


def test_a_body_longer_under_way_than_allowed_ends_the_connection_at_any_rate(serve: Serve, app: Echo) -> None:
    began = time.monotonic()
    with Wire(serve(BODY_GRACE_SECONDS=0.2, BODY_SECONDS=0.6)) as wire:
        wire.send(POST + b"Content-Length: 1000000\r\n\r\n")
        assert dripped_until_cut(wire, b"x" * 2000)
    assert time.monotonic() - began > 0.5
    assert eventually(lambda: app.seen == [("/a", "disconnect")])


def test_a_body_that_comes_after_its_answer_leaves_the_connection_usable_but_not_for_ever(serve: Serve) -> None:
    with Wire(serve(HEAD_SECONDS=1.0, BODY_GRACE_SECONDS=60)) as wire:
        wire.send(b"POST /unread HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\n")
        assert wire.reply().status == 200
        wire.send(b"abc")
        wire.send(b"POST /unread HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\n")
        assert wire.reply().status == 200
        wire.send(b"abc")
        assert wire.cut()


def test_an_answer_that_is_not_read_ends_the_connection(serve: Serve, app: Echo) -> None:
    with Wire(serve(HEAD_SECONDS=0.3, WRITE_SECONDS=0.5, keep_alive=1)) as wire:
        wire.send(b"GET /much/30000000 HTTP/1.1\r\nHost: a\r\n\r\n")
        assert eventually(lambda: app.seen == [("/much/30000000", b"")])
        assert eventually(lambda: not BoundedHttpProtocol._connected)


@pytest.mark.parametrize(
    ("path", "limits"),
    [
        (b"/much/12000000", {}),
        (b"/parts/12000000", {"RATE": 1e9}),  # it counts that the app could go on, however little went out since
    ],
)
def test_an_answer_that_is_read_slowly_is_not_cut(serve: Serve, path: bytes, limits: dict[str, float]) -> None:
    port = serve(HEAD_SECONDS=0.2, WRITE_SECONDS=1.2, **limits)
    with Wire(port, receive_buffer=64 * KIB) as wire:
        wire.send(b"GET %b HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n" % path)
        read = len(wire._until(b"\r\n\r\n"))
        while read < 12_000_000:  # about 5 MB a second
            time.sleep(0.01)
            wire._input = b""
            wire._more()
            read += len(wire._input)


def test_a_client_that_does_not_close_after_its_refusal_is_cut_off(serve: Serve) -> None:
    with Wire(serve(LINGER_SECONDS=0.3)) as wire:
        wire.send(b"nonsense\r\n")
        assert wire.reply().status == 400
        assert wire.ended()
        assert eventually(lambda: not BoundedHttpProtocol._connected)


def test_two_hundred_slow_clients_do_not_keep_others_waiting(serve: Serve) -> None:
    port = serve(HEAD_SECONDS=2.0, BODY_GRACE_SECONDS=2.0)
    with ExitStack() as stack:
        slow = [stack.enter_context(Wire(port)) for _ in range(200)]
        for number, wire in enumerate(slow):
            wire.send(GET if number % 2 else POST + b"Content-Length: 9\r\n\r\n")
        other = stack.enter_context(Wire(port))
        other.send(GET + b"\r\n")
        assert other.reply().status == 200
        assert all(wire.cut() for wire in slow)
    assert eventually(lambda: not BoundedHttpProtocol._connected)


def test_a_client_that_leaves_in_the_middle_leaves_nothing_behind(serve: Serve, app: Echo) -> None:
    port = serve()
    for start in (b"", GET, POST + b"Content-Length: 3\r\n\r\na", b"nonsense\r\n"):
        with Wire(port) as wire:
            wire.send(start or b"\r\n")
    assert eventually(lambda: not BoundedHttpProtocol._connected)
    assert eventually(lambda: app.seen == [("/a", "disconnect")])


# Connections


def test_a_connection_too_many_is_answered_503_and_a_place_that_is_given_back_is_free(serve: Serve) -> None:
    port = serve(CONNECTIONS=2, LINGER_SECONDS=60)
    with Wire(port) as first, Wire(port) as second:
        for wire in (first, second):
            wire.send(GET + b"\r\n")
            assert wire.reply().status == 200
        with Wire(port) as third:
            reply = third.reply()
            assert (reply.status, reply.json["error"]["code"]) == (503, "UNAVAILABLE")
            assert int(reply.headers["retry-after"]) > 0
            assert third.ended()
            assert eventually(lambda: BoundedHttpProtocol._connected["127.0.0.1"] == 2)
    assert eventually(lambda: not BoundedHttpProtocol._connected)
    with Wire(port) as wire:
        wire.send(GET + b"\r\n")
        assert wire.reply().status == 200


@pytest.mark.parametrize(("proxies", "status"), [((), 503), (("10.0.0.0/8",), 503), (("127.0.0.0/30", "::1"), 200)])
def test_an_address_has_its_share_of_connections_unless_it_is_a_trusted_proxy(
    serve: Serve, app: Echo, proxies: tuple[str, ...], status: int
) -> None:
    app.state["settings"] = SimpleNamespace(trusted_proxies=proxies)
    port = serve(CONNECTIONS_PER_ADDRESS=1)
    with Wire(port) as first, Wire(port) as second:
        first.send(GET + b"\r\n")
        assert first.reply().status == 200
        if status == 200:
            second.send(GET + b"\r\n")
        assert second.reply().status == status


# WebSockets

UPGRADE = b"GET /ws/1 HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"


class Socket(asyncio.Protocol):
    """Stands for a WebSocket protocol: says what it was given, then sends back what it gets."""

    def __init__(self, **_: object) -> None:
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._transport.write(data)


def test_a_websocket_is_handed_over_whole_and_is_no_longer_timed_or_counted(serve: Serve) -> None:
    with Wire(serve(ws=Socket, HEAD_SECONDS=0.3)) as wire:
        head = UPGRADE + b"X: 1\r\n\r\n"
        wire.send(head, 9)
        assert wire._until(b"\r\n\r\n").lower() == head.lower()
        wire._input = b""
        time.sleep(0.8)
        assert not BoundedHttpProtocol._connected
        wire.send(b"hello\r\n\r\n")
        assert wire._until(b"\r\n\r\n") == b"hello\r\n\r\n"


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        (b"Content-Length: 3\r\n\r\nabc", 400),
        (b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
        (b"Host: b\r\n\r\n", 400),
        (b"X: 1\r\n" * 100 + b"\r\n", 431),
    ],
)
def test_the_head_of_a_websocket_has_the_same_limits(serve: Serve, fields: bytes, status: int) -> None:
    with Wire(serve(ws=Socket)) as wire:
        wire.send(UPGRADE + fields)
        assert wire.reply().status == status
        assert wire.ended()
