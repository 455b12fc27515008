"""The page at `/`: where a person who has only the address finds the rest."""

import html

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from doable.settings import Settings


def home_router(settings: Settings) -> APIRouter:
    page = _page(settings).encode()

    async def home(_: Request) -> Response:
        return Response(page, media_type="text/html; charset=utf-8", headers={"Cache-Control": "no-cache"})

    router = APIRouter()
    router.add_route("/", home, include_in_schema=False)
    return router


def _page(settings: Settings) -> str:
    base = settings.base_path
    links = {"/health/ready": "Is it ready?"}
    if settings.docs_enabled:
        links = {"/docs": "Documentation, to read and to try", "/openapi.json": "The OpenAPI document", **links}
    items = "".join(f'<li><a href="{html.escape(base + path)}">{text}</a></li>' for path, text in links.items())
    name = html.escape(settings.app_name)
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{name}</title>'
        f"<h1>{name}</h1><p>The API is at <code>{html.escape(base + settings.api_v1_prefix)}</code>.</p>"
        f"<ul>{items}</ul>"
    )
