"""The headers of an answer that say where it stands: its version, its place, the position that a write has made."""

from collections.abc import Callable, Iterable
from typing import Annotated

import orjson
from fastapi import Depends, Request, Response

from doable.core import versions
from doable.core.claims import Claim
from doable.core.http import conditional, idempotency


class Answer[R]:
    """The answer to a write, made of what that comes to: before the commit if a key keeps it, else when it is asked."""

    def __init__(self, make: Callable[[R], Response], headers: list[tuple[bytes, bytes]]) -> None:
        self._make = make
        self._headers = headers
        self._before = len(headers)
        self._made: tuple[R, Response] | None = None

    def to(self, result: R) -> Response:
        if self._made is None or self._made[0] is not result:
            del self._headers[self._before :]  # of what was to be, and has not come to be
            self._made = result, self._make(result)
        return self._made[1]


class AnswerHeaders:
    def __init__(self, request: Request, response: Response) -> None:
        self._request = request
        self._state = request.scope["state"]
        self._headers = response.raw_headers

    def etag(self, *parts: object) -> None:
        """A client that has this version already is told so at once: what comes after this in a GET is not done."""
        etag = versions.etag(self._state["epoch"], *parts)
        conditional.require_modified(self._request, etag)
        self._headers.append((b"etag", etag.encode()))

    def answer(self, content: object, status: int = 200) -> Response:
        """An answer with these headers, from rows that we wrote: what `response_model` describes, and nobody validates.

        Whatever a request has sent is validated; what comes from the database of this server was, when it came there.
        """
        return self.answer_text(orjson.dumps(content), status)

    def answer_text(self, text: bytes, status: int = 200) -> Response:
        """The same of what is JSON already."""
        return _Json(text, status, self._headers)

    def made_of[R](self, make: "Callable[[R, AnswerHeaders], Response]") -> Answer[R]:
        """How an operation will be answered, for a key to keep it with all that the operation writes."""
        answer: Answer[R] = Answer(lambda result: make(result, self), self._headers)
        claim: Claim | None = self._state.get("claim")
        if claim is not None:
            claim.reply_to = lambda result: idempotency.reply(claim, answer.to(result))
        return answer

    def position(self, revision: int | None) -> None:
        """The last event that this write made in its list; none if it changed nothing."""
        if revision is not None:
            self._headers.append((b"doable-position", f"{self._state['epoch']}:{revision}".encode()))

    def location(self, path: str) -> None:
        """Where the new resource is, below the API's prefix."""
        settings = self._state["settings"]
        self._headers.append((b"location", f"{settings.base_path}{settings.api_v1_prefix}{path}".encode()))


class _Json(Response):
    """A response of bytes that are JSON, without what makes others of anything: a quarter of the price."""

    def __init__(self, body: bytes, status: int, headers: Iterable[tuple[bytes, bytes]]) -> None:
        self.body = body
        self.status_code = status
        self.background = None
        self.raw_headers = [(b"content-length", b"%d" % len(body)), (b"content-type", b"application/json"), *headers]


async def _headers(request: Request, response: Response) -> AnswerHeaders:
    return AnswerHeaders(request, response)  # a class as a dependency would be called in a thread


Headers = Annotated[AnswerHeaders, Depends(_headers)]
