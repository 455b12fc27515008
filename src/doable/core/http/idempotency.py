"""`Idempotency-Key`: which routes have it, how it is read, and how an answer becomes a row and an answer again.

A route of an unsafe method takes the key unless it says `dependencies=[idempotency.Ignored]`: what gives a secret keeps
no answer.
"""

import hashlib
import re
from collections.abc import Collection
from contextlib import AbstractAsyncContextManager, nullcontext
from http import HTTPStatus
from typing import Annotated
from uuid import UUID

from fastapi import Depends
from fastapi.dependencies.models import Dependant
from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import Response

from doable.core.claims import Claim, Replayed
from doable.core.db import Transaction
from doable.core.errors import AppException, Code
from doable.core.http.context import info
from doable.core.http.transaction import SAFE_METHODS, writing
from doable.core.replies import Reply

HEADER = "Idempotency-Key"
MOST = 255

_NAME = HEADER.lower().encode()
_KEY = re.compile(rf"[\x20-\x7e]{{1,{MOST}}}")


async def ignore() -> None:
    """Nothing; that a route depends on it says that it takes no key."""


Ignored = Depends(ignore)


async def stream() -> None:
    """Nothing; that a route depends on it says that it reads its body itself, and tells `Keyed.received` of it."""


Streamed = Depends(stream)


class Keyed:
    """For a route that needs several transactions: the last one, which has the whole effect, holds the key."""

    def __init__(self, request: Request) -> None:
        self._request = request
        self._claim: Claim | None = request.scope["state"].get("claim")

    @property
    def has_key(self) -> bool:
        return self._claim is not None

    def turn(self) -> AbstractAsyncContextManager[None]:
        """Around all of it, so that what the other transactions do is done once."""
        return nullcontext() if self._claim is None else self._claim.turn(self._request.state.db.reads)

    def transaction(self) -> AbstractAsyncContextManager[Transaction]:
        return writing(self._request)

    def received(self, digest: bytes) -> None:
        """The body that the route has read itself, as a digest: sent again, the request has to have the same one."""
        if self._claim is not None:
            self._claim.extend(lambda head: hashlib.sha256(head + digest).digest())

    async def keep(self, tx: Transaction, answer: BaseModel, status: HTTPStatus = HTTPStatus.OK) -> None:
        """The last statement of the transaction: it commits before the route returns this answer."""
        if self._claim is not None:
            body = answer.model_dump_json().encode()
            await self._claim.keep(tx, Reply(self._claim.fingerprint, status.value, body, None, None, None))


async def keyed(request: Request) -> Keyed:
    return Keyed(request)  # a class as a dependency would be called in a thread


KeyedTransaction = Annotated[Keyed, Depends(keyed)]


def applies(methods: Collection[str], dependant: Dependant) -> bool:
    """Whether a route takes the key."""
    return not SAFE_METHODS.issuperset(methods) and not depends_on(dependant, ignore)


def depends_on(dependant: Dependant, call: object) -> bool:
    return dependant.call is call or any(depends_on(inner, call) for inner in dependant.dependencies)


async def _keyed(request: Request) -> bool:
    return request.scope["state"].get("claim") is not None


IsKeyed = Annotated[bool, Depends(_keyed)]
"""Whether the request has a key: sent again, it cannot have its effect twice."""


async def read(request: Request, *, streamed: bool) -> Claim | None:
    """The claim that this request makes, for its transaction to find. Raises MALFORMED_REQUEST."""
    known = info(request.scope)
    given = known.headers.get(_NAME)  # the edge has refused a second one
    if given is None:
        return None
    key = given.decode("latin-1")
    if not _KEY.fullmatch(key):
        raise AppException(Code.MALFORMED_REQUEST, f"{HEADER} has to be 1 to {MOST} printable ASCII characters.")

    def user() -> UUID:  # does not know the request, which knows the claim: only the garbage collector could free them
        return UUID(known.user_id)

    body = b"" if streamed else await request.body()
    state = request.scope["state"]
    state["claim"] = claim = Claim(state["claims"], key, _digest(request, body), user)
    return claim


async def keep(claim: Claim, response: Response) -> None:
    """Write the answer beside the effect, if a transaction has begun; it commits after this."""
    tx = claim.held_by
    if tx is None:
        return
    if not HTTPStatus(response.status_code).is_success:
        raise RuntimeError("a refusal is raised: this one would be committed")
    await claim.keep(tx, reply(claim, response))


def reply(claim: Claim, response: Response) -> Reply:
    """What is kept of an answer."""
    headers = {name: value.decode("latin-1") for name, value in response.raw_headers}
    return Reply(
        fingerprint=claim.fingerprint,
        status=response.status_code,
        body=bytes(response.body),
        etag=headers.get(b"etag"),
        location=headers.get(b"location"),
        position=headers.get(b"doable-position"),
    )


async def answer_again(_request: Request, error: Exception) -> Response:
    """The handler of `Replayed`."""
    if not isinstance(error, Replayed):
        raise error
    reply = error.reply
    kept = {"ETag": reply.etag, "Location": reply.location, "Doable-Position": reply.position}
    headers = {name: value for name, value in kept.items() if value is not None}
    headers["Idempotent-Replayed"] = "true"
    return Response(reply.body, reply.status, headers, media_type="application/json" if reply.body else None)


def _digest(request: Request, body: bytes) -> bytes:
    """Neither a path nor a query has a space or a line end in it as they are sent."""
    path: bytes = request.scope.get("raw_path") or request.scope["path"].encode()
    query: bytes = request.scope["query_string"]
    return hashlib.sha256(b"%b %b %b\n%b" % (request.method.encode(), path, query, body)).digest()
