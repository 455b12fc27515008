"""The one way out: nothing that a user names leads to what only this machine can reach, and nothing takes for ever."""

import asyncio
import socket
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from ipaddress import ip_address, ip_network
from typing import Any

import pytest

from doable.core import outbound
from doable.core.outbound import Answer, FailedError, Outbound, RefusedError

LOOPBACK = ip_network("127.0.0.0/8")
OK = b"HTTP/1.1 204 No Content\r\nRetry-After: 7\r\n\r\n"

type Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@pytest.fixture
def way_out() -> Outbound:
    """One that may reach the loopback, as it has to in a test."""
    return Outbound([LOOPBACK])


@pytest.fixture
def strict() -> Outbound:
    return Outbound()


@asynccontextmanager
async def receiver(serve: Serve) -> AsyncIterator[tuple[int, list[bytes]]]:
    """A server, its port, and the heads of the requests that it got."""
    heads: list[bytes] = []

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            heads.append(await reader.readuntil(b"\r\n\r\n"))
            await serve(reader, writer)
        writer.close()

    server = await asyncio.start_server(connected, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1], heads


async def _ok(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(OK)
    await writer.drain()


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "127.8.8.8", "0.1.2.3", "10.0.0.1", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1",
        "192.0.2.1", "198.18.0.1", "224.0.0.1", "240.0.0.1", "255.255.255.255", "192.88.99.1",
        "::1", "::", "fe80::1", "fc00::1", "fd00:ec2::254", "ff02::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1",
        "::127.0.0.1", "64:ff9b::7f00:1", "64:ff9b:1::1", "2002:7f00:1::", "2001::1", "3fff::1", "2001:db8::1",
        "fec0::1",
    ],
)  # fmt: skip
def test_an_address_that_is_not_public_is_known(address: str) -> None:
    assert not outbound.is_public(ip_address(address))


@pytest.mark.parametrize("address", ["1.1.1.1", "93.184.216.34", "2606:4700:4700::1111", "::ffff:1.1.1.1"])
def test_a_public_address_is_known(address: str) -> None:
    assert outbound.is_public(ip_address(address))


@pytest.mark.parametrize(
    "url",
    [
        "https://169.254.169.254/latest/meta-data/", "https://[fd00:ec2::254]/",
        "https://127.0.0.1/", "https://127.1/", "https://0/", "https://2130706433/", "https://0x7f000001/",
        "https://017700000001/", "https://localhost/", "https://localhost./", "https://[::1]/",
        "https://[::ffff:127.0.0.1]/", "https://[64:ff9b::7f00:1]/", "https://[fe80::1%25lo]/",
        "http://1.1.1.1/", "https://1.1.1.1:22/", "https://1.1.1.1:0/", "ftp://1.1.1.1/", "file:///etc/passwd", "https://",
        "https://ana:secret@1.1.1.1/", "https://1.1.1.1/#x", "https://1.1.1.1\\@127.0.0.1/", "https://1.1.1.1/ x",
        "https://1.1.1.1/\r\nHost: x", "https://1.1.1.1:99999/", "https://[::1", "https://ä.example/", "x" * 3000,
        "https://a..example/", "https://.example/", "https://./", f"https://{'x' * 64}.example/",
    ],
)  # fmt: skip
async def test_what_must_not_be_reached_is_refused_before_anything_is_sent(strict: Outbound, url: str) -> None:
    with pytest.raises((RefusedError, FailedError)) as refused:
        await strict.post(url, {}, b"")
    assert isinstance(refused.value, RefusedError) or str(refused.value) == "the name has no address"


async def test_a_name_is_resolved_once_and_each_of_its_addresses_is_checked(
    strict: Outbound, monkeypatch: pytest.MonkeyPatch
) -> None:
    def answers(*_: Any, **__: Any) -> Any:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (a, 443)) for a in ("93.184.216.34", "127.0.0.1")]

    monkeypatch.setattr(socket, "getaddrinfo", answers)
    with pytest.raises(RefusedError):
        await strict.post("https://rebinding.example/", {}, b"")


async def test_what_a_name_means_later_does_not_count(way_out: Outbound, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def answers(host: str, *_: Any, **__: Any) -> Any:
        asked.append(host)
        address = "127.0.0.1" if len(asked) == 1 else "127.0.0.9"
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, 0))]

    async with receiver(_ok) as (port, heads):
        monkeypatch.setattr(socket, "getaddrinfo", answers)
        assert await way_out.post(f"http://rebinding.example:{port}/x?y=1", {"a": "b"}, b"{}") == Answer(204, "7")
    assert asked[0] == "rebinding.example"
    assert "rebinding.example" not in asked[1:]
    assert heads[0].startswith(b"POST /x?y=1 HTTP/1.1\r\nHost: rebinding.example:")


async def test_a_redirect_is_an_answer_and_is_not_followed(way_out: Outbound) -> None:
    async def redirect(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 302 Found\r\nLocation: /elsewhere\r\nContent-Length: 0\r\n\r\n")
        await writer.drain()

    async with receiver(redirect) as (port, heads):
        assert (await way_out.post(f"http://127.0.0.1:{port}/", {}, b"")).status == 302
    assert len(heads) == 1


async def test_a_proxy_of_the_environment_is_not_asked(way_out: Outbound, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    async with receiver(_ok) as (port, _heads):
        assert (await way_out.post(f"http://127.0.0.1:{port}/", {}, b"")).status == 204


async def test_name_servers_that_do_not_answer_hold_up_nobody_else(
    way_out: Outbound, monkeypatch: pytest.MonkeyPatch
) -> None:
    answered, ask = threading.Event(), socket.getaddrinfo

    def hangs(host: str, *args: Any, **kwargs: Any) -> Any:
        if host == "silent.example":
            answered.wait(30)
        return ask(host, *args, **kwargs)

    monkeypatch.setattr(socket, "getaddrinfo", hangs)
    monkeypatch.setattr(outbound, "TOTAL_SECONDS", 1.0)
    async with receiver(_ok) as (port, _heads):
        url = f"http://silent.example:{port}/"
        silent = await asyncio.gather(*(way_out.post(url, {}, b"") for _ in range(24)), return_exceptions=True)
        monkeypatch.setattr(outbound, "TOTAL_SECONDS", 10.0)
        assert {str(each) for each in silent} == {"no answer in time"}
        assert (await way_out.post(f"http://localhost:{port}/", {}, b"")).status == 204
    answered.set()


AT_ITS_END = """
import asyncio, socket, time
from doable.core import outbound
socket.getaddrinfo = lambda *_, **__: time.sleep(60)
outbound.TOTAL_SECONDS = 0.2
try:
    asyncio.run(outbound.Outbound().post("https://silent.example/", {}, b""))
except outbound.FailedError as error:
    print(error)
"""


def test_a_process_that_ends_does_not_wait_for_a_name_server() -> None:
    ended = subprocess.run([sys.executable, "-c", AT_ITS_END], stdout=subprocess.PIPE, timeout=30, check=True)
    assert ended.stdout == b"no answer in time\n"


@pytest.mark.parametrize("declared", [True, False])
async def test_a_giant_answer_is_cut(way_out: Outbound, *, declared: bool) -> None:
    async def flood(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        length = b"Content-Length: 1000000000\r\n" if declared else b""
        writer.write(b"HTTP/1.1 200 OK\r\n" + length + b"\r\n")
        while True:
            writer.write(b"x" * 65536)
            await writer.drain()

    async with receiver(flood) as (port, _heads):
        with pytest.raises(FailedError, match="too long"):
            await way_out.post(f"http://127.0.0.1:{port}/", {}, b"")


@pytest.mark.parametrize("drip", ["nothing", "head", "body"])
async def test_a_dripping_answer_is_cut_in_time(way_out: Outbound, drip: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbound, "TOTAL_SECONDS", 0.5)

    async def slow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if drip == "body":
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
        while drip != "nothing":
            writer.write(b"H")
            await writer.drain()
            await asyncio.sleep(0.05)
        await reader.read()

    async with receiver(slow) as (port, _heads):
        with pytest.raises(FailedError):
            await way_out.post(f"http://127.0.0.1:{port}/", {}, b"")


async def test_who_does_not_speak_tls_gets_nothing(way_out: Outbound, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbound, "TOTAL_SECONDS", 1.0)
    async with receiver(_ok) as (port, _heads):
        with pytest.raises(FailedError):
            await way_out.post(f"https://127.0.0.1:{port}/", {}, b"secret")


async def test_who_does_not_answer_at_all_is_a_failure(way_out: Outbound) -> None:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        port = held.getsockname()[1]
        with pytest.raises(FailedError):
            await way_out.post(f"http://127.0.0.1:{port}/", {}, b"")
