"""`If-Match` and `If-None-Match`: read strictly, compared by what our ETags are made of."""

import re
from typing import Annotated

from fastapi import Depends
from starlette.requests import Request
from starlette.responses import Response

from doable.core.errors import AppException, Code
from doable.core.http.context import info
from doable.core.http.transaction import SAFE_METHODS
from doable.core.versions import Expected

ANY = "*"

_TAG = r'[ \t]*(?:W/)?"([\x21\x23-\x7e\x80-\xff]*)"[ \t]*'
_TAGS = re.compile(rf"(?:[ \t]*,)*{_TAG}(?:,(?:{_TAG}|[ \t]*))*")
_ONE = re.compile(_TAG)
_VERSION = re.compile(r"[1-9][0-9]{0,9}")


class NotModified(Exception):
    """The client has what it asks for."""

    def __init__(self, etag: str) -> None:
        super().__init__()
        self.etag = etag


def check(request: Request) -> None:
    """Refuse what cannot be read, before anything else is looked at."""
    headers = info(request.scope).headers
    if b"if-match" in headers or b"if-none-match" in headers:
        for name in ("if-match", "if-none-match"):
            _tags(request, name)


def require_modified(request: Request, etag: str) -> None:
    """Raises `NotModified` for a safe request whose `If-None-Match` names this ETag."""
    if b"if-none-match" in info(request.scope).headers and request.method in SAFE_METHODS:
        tags = _tags(request, "if-none-match")
        if tags is not None and (ANY in tags or etag in tags):
            raise NotModified(etag)


def not_modified(answer: NotModified) -> Response:
    return Response(status_code=304, headers={"ETag": answer.etag, "Vary": "Accept-Encoding"})


async def if_match(request: Request) -> Expected | None:
    tags = _tags(request, "if-match")
    if tags is None:
        return None
    epoch: str = request.state.epoch
    if ANY in tags:
        return Expected(epoch, None)
    versions = set()
    for tag in tags:
        own, _, rest = tag.strip('"').partition(".")
        version = rest.partition(".")[0]  # what follows is the role in a list
        if own == epoch and _VERSION.fullmatch(version):
            versions.add(int(version))
    return Expected(epoch, frozenset(versions))


IfMatch = Annotated[Expected | None, Depends(if_match)]
"""The versions that `If-Match` names; `None` without it."""


def _tags(request: Request, name: str) -> frozenset[str] | None:
    """The tags in their quotes, without what proxies add to them, or `*`."""
    if name.encode() not in info(request.scope).headers:
        return None
    values = request.headers.getlist(name)
    text = ",".join(values)
    if text.strip(" \t") == ANY:
        return frozenset({ANY})
    if not _TAGS.fullmatch(text):
        raise AppException(Code.MALFORMED_REQUEST, f"The header {name} has to be '*' or entity tags in quotes.")
    return frozenset(f'"{tag.removesuffix("-gzip")}"' for tag in _ONE.findall(text))
