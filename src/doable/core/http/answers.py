"""The headers of an answer that say where it stands: its version, its place, the position that a write has made."""

from typing import Annotated

from fastapi import Depends, Request, Response


class AnswerHeaders:
    def __init__(self, request: Request, response: Response) -> None:
        self._state = request.state
        self._headers = response.headers

    def etag(self, *parts: object) -> None:
        """The strong ETag `"EPOCH.PART.PART…"`: made of versions, never of bytes."""
        self._headers["ETag"] = f'"{".".join([self._state.epoch, *map(str, parts)])}"'

    def position(self, revision: int | None) -> None:
        """The last event that this write made in its list; none if it changed nothing."""
        if revision is not None:
            self._headers["Doable-Position"] = f"{self._state.epoch}:{revision}"

    def location(self, path: str) -> None:
        """Where the new resource is, below the API's prefix."""
        settings = self._state.settings
        self._headers["Location"] = f"{settings.base_path}{settings.api_v1_prefix}{path}"


Headers = Annotated[AnswerHeaders, Depends()]
