"""Requests that are sent again until there is an answer, where sending them twice does no harm."""

import asyncio
import re
import secrets
from collections.abc import Mapping
from typing import NamedTuple

import httpx2
import orjson

from doable.client.errors import Refused, Unreachable
from doable.client.pauses import Pauses

TIMEOUT = 10.0
UNANSWERED = frozenset({502, 504})
"""What proxies say: the request may have been carried out."""

_SAFE = frozenset({"GET", "HEAD"})
_ONCE = re.compile(
    r"POST /users|DELETE /users/me|PUT /users/me/password|POST /users/me/tokens|POST /auth/password-reset"
    r"|POST /auth/password-reset/confirm|POST /auth/verify-email|POST /webhooks|POST /webhooks/[^/]+/secret"
)
"""Have no key that would tell a repetition, and another effect or answer the second time."""


class Request(NamedTuple):
    method: str
    path: str
    params: Mapping[str, str] | None
    content: bytes | None
    headers: dict[str, str]

    @property
    def repeatable(self) -> bool:
        return _ONCE.fullmatch(f"{self.method} {self.path}") is None


def prepare(
    method: str, path: str, json: object, params: Mapping[str, str] | None, headers: Mapping[str, str] | None
) -> Request:
    """With a key of its own, by which the server knows it again."""
    prepared = dict(headers or {})
    if method not in _SAFE:
        prepared.setdefault("Idempotency-Key", secrets.token_urlsafe(16))
    content = None
    if json is not None:
        content = orjson.dumps(json)
        prepared["Content-Type"] = "application/json"
    return Request(method, path, params, content, prepared)


async def send(http: httpx2.AsyncClient, request: Request, access: str | None, patience: float) -> httpx2.Response:
    """The answer, whatever it is but `come back later`. Raises `Unreachable`, `Refused`."""
    headers = request.headers | ({"Authorization": f"Bearer {access}"} if access else {})
    pauses = Pauses(0.1, 2.0)
    ends = asyncio.get_running_loop().time() + patience
    while True:
        failure: Exception
        asked, uncertain = None, True
        try:
            answer = await http.request(
                request.method, request.path, params=request.params, content=request.content, headers=headers
            )
        except httpx2.TransportError as error:
            failure = Unreachable(repr(error))
            uncertain = not isinstance(error, httpx2.ConnectError)
        else:
            failure = refusal(answer)
            if not _passes(answer.status_code, failure):
                return answer
            asked = retry_after(answer.headers)
            uncertain = answer.status_code in UNANSWERED or failure.code == "OUTCOME_UNKNOWN"
        pause = pauses.next(asked)
        if (uncertain and not request.repeatable) or asyncio.get_running_loop().time() + pause > ends:
            raise failure
        await asyncio.sleep(pause)


def refusal(answer: httpx2.Response) -> Refused:
    try:
        error = orjson.loads(answer.content)["error"]
        return Refused(answer.status_code, error["code"], error["message"], error["details"])
    except (ValueError, KeyError, TypeError):  # a proxy's own page
        return Refused(answer.status_code, "", answer.reason_phrase)


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds; a date, which our server never sends, is as good as nothing."""
    text = headers.get("Retry-After", "")
    return float(text) if text.isdecimal() else None


def _passes(status: int, failure: Refused) -> bool:
    return status in {429, 503} or status in UNANSWERED or failure.code == "IDEMPOTENCY_IN_PROGRESS"
