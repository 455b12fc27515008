"""The headers of an answer that say where it stands: its version, its place, the position that a write has made."""

from typing import Annotated

import orjson
from fastapi import Depends, Request, Response

from doable.core import versions
from doable.core.http import conditional


class AnswerHeaders:
    def __init__(self, request: Request, response: Response) -> None:
        self._request = request
        self._state = request.state
        self._given = response
        self._headers = response.headers

    def etag(self, *parts: object) -> None:
        """A client that has this version already is told so at once: what comes after this in a GET is not done."""
        etag = versions.etag(self._state.epoch, *parts)
        conditional.require_modified(self._request, etag)
        self._headers["ETag"] = etag

    def answer(self, content: object, status: int = 200) -> Response:
        """An answer with these headers, from rows that we wrote: what `response_model` describes, and nobody validates.

        Whatever a request has sent is validated; what comes from the database of this server was, when it came there.
        """
        response = Response(orjson.dumps(content), status, media_type="application/json")
        response.raw_headers += self._given.raw_headers
        return response

    def position(self, revision: int | None) -> None:
        """The last event that this write made in its list; none if it changed nothing."""
        if revision is not None:
            self._headers["Doable-Position"] = f"{self._state.epoch}:{revision}"

    def location(self, path: str) -> None:
        """Where the new resource is, below the API's prefix."""
        settings = self._state.settings
        self._headers["Location"] = f"{settings.base_path}{settings.api_v1_prefix}{path}"


async def _headers(request: Request, response: Response) -> AnswerHeaders:
    return AnswerHeaders(request, response)  # a class as a dependency would be called in a thread


Headers = Annotated[AnswerHeaders, Depends(_headers)]
