"""The page that a request asks for."""

from typing import Annotated

from fastapi import Depends, Query, Request

from doable.core.errors import invalid_field
from doable.core.pages import DEFAULT_SIZE, MAX_SIZE, Cursors, PageRequest
from doable.core.types import Digits

DEEPEST = 100_000
"""Rows that a page by number may skip; a cursor reaches further at no cost."""


async def _paging(
    page: Annotated[Digits | None, Query(ge=1, le=DEEPEST, description="By number, from 1.")] = None,
    size: Annotated[Digits, Query(ge=1, le=MAX_SIZE)] = DEFAULT_SIZE,
    cursor: Annotated[
        str | None,
        Query(description="`next_cursor` of the page before, instead of `page`."),
    ] = None,
) -> PageRequest:
    if cursor is not None and page is not None:
        raise invalid_field("query.cursor", "Send either page or cursor.")
    if (page or 1) * size > DEEPEST:
        raise invalid_field("query.page", f"page x size may be {DEEPEST} at most; use next_cursor to go further.")
    return PageRequest(size, page or 1, cursor)


async def _cursors(request: Request) -> Cursors:
    cursors: Cursors = request.scope["state"]["cursors"]
    return cursors


Paging = Annotated[PageRequest, Depends(_paging)]
CursorKey = Annotated[Cursors, Depends(_cursors)]
