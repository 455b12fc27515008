"""The one way out: requests to addresses that users name, which must not reach what only this machine can reach.

A name is resolved once, every address that it has is checked, and the connection goes to a checked address: what the
name means a moment later does not count. Redirects are answers like others; proxies of the environment are not asked.
"""

import asyncio
import socket
import ssl
import threading
from collections.abc import Callable, Collection, Iterable, Mapping
from contextlib import suppress
from functools import cache, partial
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import NamedTuple, Self
from urllib.parse import SplitResult, urlsplit

import httpcore2
from httpcore2 import AnyIOBackend, AsyncConnectionPool, AsyncNetworkBackend, AsyncNetworkStream

TOTAL_SECONDS = 10.0
MOST_BYTES = 65_536
LONGEST_URL = 2_000
PORTS = frozenset({443, 8443})
RESOLVING = 64
"""Names that are asked for at once. A name server that does not answer keeps one for longer than we wait for it."""

type Address = IPv4Address | IPv6Address
type Network = IPv4Network | IPv6Network

# What `is_global` lets pass although it leads back to private addresses, to many, or nowhere.
_NOT_PUBLIC: tuple[Network, ...] = tuple(
    map(
        ip_network,
        (
            "64:ff9b::/96",  # NAT64
            "64:ff9b:1::/48",
            "2001::/23",  # Teredo and others with an address inside
            "2002::/16",  # 6to4
            "3fff::/20",  # documentation
            "5f00::/16",
            "fec0::/10",
            "::/96",  # IPv4-compatible
            "100.64.0.0/10",
            "192.88.99.0/24",
        ),
    )
)


class RefusedError(Exception):
    """Nothing was sent, for the message's reason; trying again is useless while the address stays as it is."""


class FailedError(Exception):
    """No answer, or none that we read to its end; the message says why, and shows nothing of what was answered."""


class Answer(NamedTuple):
    """`retry_after` is the header's text."""

    status: int
    retry_after: str | None


class Outbound:
    """`allowed` are networks that may be reached although they are not public, by any port and by plain HTTP too."""

    def __init__(self, allowed: Collection[Network] = ()) -> None:
        self._allowed = tuple(allowed)
        self._resolving = asyncio.Semaphore(RESOLVING)

    def check(self, url: str) -> None:
        """Raises `RefusedError` for what can be refused without asking a name server."""
        _split(url, self._allowed)

    async def post(self, url: str, headers: Mapping[str, str], body: bytes) -> Answer:
        """Raises `RefusedError` and `FailedError`; takes ten seconds at most."""
        parts = _split(url, self._allowed)
        try:
            async with asyncio.timeout(TOTAL_SECONDS):
                addresses = await self._resolve(parts)
                return await self._send(parts, addresses, headers, body)
        except TimeoutError:
            raise FailedError("no answer in time") from None
        except (httpcore2.NetworkError, httpcore2.TimeoutException, httpcore2.ProtocolError, ssl.SSLError) as error:
            raise FailedError(type(error).__name__) from None

    async def _resolve(self, parts: SplitResult) -> list[Address]:
        try:
            found = await self._look_up(parts.hostname or "", _port(parts))
        except OSError:
            raise FailedError("the name has no address") from None
        special = [address for address in found if any(address in network for network in self._allowed)]
        for address in found:
            if address not in special and not is_public(address):
                raise RefusedError("the name leads to an address that is not public")
        if len(special) < len(found):
            _refuse_plain(parts)
        return found

    async def _look_up(self, host: str, port: int) -> list[Address]:
        """In a thread that nobody waits for: not those who hash or write files, nor the end of the process."""
        await self._resolving.acquire()
        loop = asyncio.get_running_loop()
        found: asyncio.Future[list[Address]] = loop.create_future()

        def answer(told: Callable[[], None]) -> None:
            self._resolving.release()
            if not found.done():
                told()

        def ask() -> None:
            try:
                told = partial(found.set_result, _addresses(host, port))
            except OSError as error:
                told = partial(found.set_exception, error)
            with suppress(RuntimeError):  # the process is about to end
                loop.call_soon_threadsafe(answer, told)

        threading.Thread(target=ask, name="resolver", daemon=True).start()
        return await found

    async def _send(
        self, parts: SplitResult, addresses: list[Address], headers: Mapping[str, str], body: bytes
    ) -> Answer:
        trust = await asyncio.to_thread(_trusted)
        async with (
            _To(addresses) as network,
            AsyncConnectionPool(ssl_context=trust, network_backend=network, retries=0) as pool,
            pool.stream("POST", parts.geturl(), headers=_headers(parts, headers, body), content=body) as response,
        ):
            size = 0
            async for chunk in response.aiter_stream():
                size += len(chunk)
                if size > MOST_BYTES:
                    raise FailedError("the answer is too long")
            told = {name.lower(): value for name, value in response.headers}
            return Answer(response.status, told.get(b"retry-after", b"").decode("latin-1")[:64] or None)


def is_public(address: Address) -> bool:
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    if not address.is_global or address.is_multicast or address.is_reserved:
        return False
    return not any(address in network for network in _NOT_PUBLIC)


@cache
def _trusted() -> ssl.SSLContext:
    """Reading the certificates of the system takes some 50 ms, which the start of a process can do without."""
    return ssl.create_default_context()


class _To(AsyncNetworkBackend):
    """Connects to the addresses that were checked, whatever name it is given."""

    def __init__(self, addresses: Iterable[Address]) -> None:
        self._addresses = list(addresses)
        self._backend = AnyIOBackend()
        self._streams: list[AsyncNetworkStream] = []

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        for stream in self._streams:  # the pool forgets one whose TLS handshake is cancelled
            await stream.aclose()

    async def connect_tcp(
        self,
        host: str,  # noqa: ARG002 — the name, which has been resolved
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 — the signature of httpcore2
        local_address: str | None = None,
        socket_options: Iterable[httpcore2.SOCKET_OPTION] | None = None,
    ) -> AsyncNetworkStream:
        failure: Exception = httpcore2.ConnectError()
        for address in self._addresses:
            try:
                stream = await self._backend.connect_tcp(str(address), port, timeout, local_address, socket_options)
            except httpcore2.ConnectError as error:
                failure = error
            else:
                self._streams.append(stream)
                return stream
        raise failure


def _split(url: str, allowed: tuple[Network, ...]) -> SplitResult:
    if len(url) > LONGEST_URL or not url.isascii() or any(char <= " " or char == "\x7f" for char in url):
        raise RefusedError("the URL is too long or has characters that have to be escaped")
    try:
        parts = urlsplit(url)
        _port(parts)
        (parts.hostname or "").encode("idna")  # as whoever resolves it does
    except ValueError:
        raise RefusedError("this is no URL") from None
    if parts.scheme not in {"https", "http"} or not parts.hostname:
        raise RefusedError("the URL has to begin with https://")
    if parts.username is not None or parts.password is not None or parts.fragment or "\\" in url:
        raise RefusedError("the URL has a user, a password or a fragment")
    if not allowed:
        _refuse_plain(parts)
    return parts


def _refuse_plain(parts: SplitResult) -> None:
    if parts.scheme != "https" or _port(parts) not in PORTS:
        raise RefusedError("the URL has to begin with https:// and to use port 443 or 8443")


def _port(parts: SplitResult) -> int:
    return parts.port if parts.port is not None else 443 if parts.scheme == "https" else 80


def _addresses(host: str, port: int) -> list[Address]:
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    # A zone (fe80::1%eth0) is of link-local addresses, which are refused without it just the same.
    return [ip_address(str(sockaddr[0]).partition("%")[0]) for *_, sockaddr in found]


def _headers(parts: SplitResult, headers: Mapping[str, str], body: bytes) -> list[tuple[str | bytes, str | bytes]]:
    common = {"Host": parts.netloc, "User-Agent": "Doable", "Content-Length": str(len(body)), "Connection": "close"}
    return [*common.items(), *headers.items()]
