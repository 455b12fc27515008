"""Rate limits of requests: who is counted, in which budget, and what the answer says of it."""

import re
from collections.abc import Iterable, Sequence
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Literal

from fastapi import Depends
from starlette.requests import HTTPConnection
from starlette.types import Scope

from doable.core.errors import AppException, Code
from doable.core.http.context import Limit, info
from doable.core.limits import Budget, Decision, Limiter
from doable.settings import Settings

type Group = Literal["auth", "read", "write"]
type Address = IPv4Address | IPv6Address
type Network = IPv4Network | IPv6Network

PERIOD = 60.0
REGISTRATION_PERIOD = 3600.0
UNKNOWN = "unknown"
_HOST_PORT = re.compile(r"(\[(?P<bracketed>[^\]]*)\]|(?P<plain>[^:\[\]]*))(:[0-9]{1,5})?")


def charge(connection: HTTPConnection, key: str, group: Group) -> None:
    """Count a request of the principal `key`. Raises RATE_LIMITED when the budget of the group is used up."""
    scope = connection.scope
    _apply(scope, _limiter(scope).hit(f"{group}:{key}", _budget(scope)))


def charge_network(connection: HTTPConnection) -> None:
    """Count a request of a stranger, as this worker knows his network."""
    scope = connection.scope
    _apply(scope, _limiter(scope).hit(_network_key(scope, "auth"), _budget(scope)))


async def charge_shared(connection: HTTPConnection, key: str, budget: Budget) -> None:
    """Count one more against a budget of its own, by what all workers know. Raises RATE_LIMITED."""
    scope = connection.scope
    _apply(scope, await _limiter(scope).hit_shared(key, budget))


async def _charge_network(connection: HTTPConnection) -> None:
    charge_network(connection)


async def _charge_network_shared(connection: HTTPConnection) -> None:
    scope = connection.scope
    _apply(scope, await _limiter(scope).hit_shared(_network_key(scope, "auth"), _budget(scope)))


async def _charge_registration(connection: HTTPConnection) -> None:
    scope = connection.scope
    budget = Budget(_budget(scope).limit, REGISTRATION_PERIOD)
    _apply(scope, await _limiter(scope).hit_shared(_network_key(scope, "registration"), budget))


NetworkBudget = Depends(_charge_network)
"""For public routes: the network's budget of the group `auth`, as this worker knows it."""
SharedNetworkBudget = Depends(_charge_network_shared)
"""The same budget as all workers know it now: where guessing pays, as at login and reset."""
RegistrationBudget = Depends(_charge_registration)
"""For registration, whose answer tells whether a name is taken: as many, but in an hour."""


def network(connection: HTTPConnection) -> str:
    """The site that the request comes from, for what nobody may have anew with each network: /24 or, of IPv6, /48."""
    return network_of(info(connection.scope).client, site=True)


def network_decision(scope: Scope) -> Decision:
    """What the headers of an answer say that nobody was charged for (401, 404 …). It counts, and refuses nothing."""
    decision = _limiter(scope).hit(_network_key(scope, "anonymous"), _budget(scope))
    info(scope).limit = decision
    return decision


def headers(limit: Limit) -> list[tuple[bytes, bytes]]:
    return [
        (b"ratelimit-limit", b"%d" % limit.limit),
        (b"ratelimit-remaining", b"%d" % limit.remaining),
        (b"ratelimit-reset", b"%d" % limit.reset),
    ]


def networks(texts: Iterable[str]) -> tuple[Network, ...]:
    """Networks for `client_address`, read once."""
    return tuple(ip_network(text) for text in texts)


def client_address(scope: Scope, trusted: Sequence[Network]) -> str:
    """Where the request comes from: the peer, or whom a chain of trusted proxies vouches for. Empty when unknown."""
    peer = scope.get("client")
    if peer and not trusted:
        return _written(peer[0])
    address = _address(peer[0]) if peer else None
    if address is None:
        return ""
    if _is_in(address, trusted):
        for hop in reversed(_forwarded_for(scope)):
            believed = _hop(hop)
            if believed is None:
                break
            address = believed
            if not _is_in(address, trusted):
                break
    return str(address)


@lru_cache(maxsize=4096)
def network_of(client: str, *, site: bool = False) -> str:
    """The network that shares a budget: /24 of IPv4, /64 of IPv6; the /48 of a site has 65,536 of those."""
    address = _address(client)
    if address is None:
        return UNKNOWN
    length = 24 if address.version == 4 else (48 if site else 64)  # noqa: PLR2004 — IPv4
    return str(ip_network((address, length), strict=False))


def _apply(scope: Scope, decision: Decision) -> None:
    info(scope).limit = decision
    if not decision.allowed:
        raise AppException(
            Code.RATE_LIMITED,
            f"Too many requests: try again in {decision.retry_after} s.",
            headers={"Retry-After": str(decision.retry_after)},
        )


def _limiter(scope: Scope) -> Limiter:
    limiter: Limiter = scope["state"]["limiter"]
    return limiter


def _budget(scope: Scope) -> Budget:
    settings: Settings = scope["state"]["settings"]
    return _each(settings.rate_limit_per_minute)


@lru_cache(maxsize=16)
def _each(minute: int) -> Budget:
    return Budget(minute, PERIOD)


def _network_key(scope: Scope, group: str) -> str:
    return f"{group}:network:{network_of(info(scope).client)}"


def _forwarded_for(scope: Scope) -> list[str]:
    values = [value for name, value in scope["headers"] if name == b"x-forwarded-for"]
    return b",".join(values).decode("latin-1").split(",")


def _hop(text: str) -> Address | None:
    """The address in `192.0.2.1`, `192.0.2.1:80`, `2001:db8::1`, `[2001:db8::1]` or `[2001:db8::1]:80`."""
    text = text.strip()
    found = _HOST_PORT.fullmatch(text)
    return _address(found["bracketed"] or found["plain"] if found else text)


@lru_cache(maxsize=4096)
def _address(text: str) -> Address | None:
    try:
        address = ip_address(text)
    except ValueError:
        return None
    if isinstance(address, IPv4Address):
        return address
    # An IPv4 client of a socket that serves both families, and a zone (`%eth0`), are the same client without it.
    return address.ipv4_mapped or IPv6Address(int(address))


@lru_cache(maxsize=4096)
def _written(text: str) -> str:
    """An address as we write it; empty if it is none."""
    address = _address(text)
    return "" if address is None else str(address)


def _is_in(address: Address, trusted: Sequence[Network]) -> bool:
    return any(address in network for network in trusted)
