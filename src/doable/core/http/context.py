"""What is known of a request while it is served: written by whoever learns it, read by the edge for log and headers."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from starlette.types import Scope


class Limit(Protocol):
    """What the `RateLimit-*` headers say; seconds in `reset`."""

    @property
    def limit(self) -> int: ...
    @property
    def remaining(self) -> int: ...
    @property
    def reset(self) -> int: ...


@dataclass(slots=True)
class RequestInfo:
    request_id: str
    client: str  # address of the client, seen through trusted proxies; "" when unknown
    headers: Mapping[bytes, bytes] = field(default_factory=dict)  # of the request, the last of each name
    user_id: str | None = None
    limit: Limit | None = None


def info(scope: Scope) -> RequestInfo:
    """The record that the edge made for this request."""
    found: RequestInfo = scope["state"]["info"]
    return found
