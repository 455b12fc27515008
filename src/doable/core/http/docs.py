"""The pages on which people read and try the API: `/docs`, `/redoc`, the viewer's files and `/openapi.json`."""

import gzip
import hashlib
import html
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath
from string import Template

import orjson
from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from doable.core import errors
from doable.core.http import compression
from doable.settings import Settings

VIEWER = Path(__file__).parent / "viewer"
FILES = {
    "viewer_css": "swagger-ui/swagger-ui.css",
    "viewer_js": "swagger-ui/swagger-ui-bundle.js",
    "page_css": "page.css",
    "start_js": "start.js",
}
MEDIA_TYPES = {".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8"}
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
FOREVER = "public, max-age=31536000, immutable"


def docs_router(settings: Settings) -> APIRouter:
    """The routes to include when `settings.docs_enabled`; the application's `openapi` makes the document."""
    base = settings.base_path
    assets = {key: Asset(VIEWER / file) for key, file in FILES.items()}
    by_name = {asset.name: asset for asset in assets.values()}
    page = _page(settings.app_name, base, {key: asset.name for key, asset in assets.items()})

    async def docs(_: Request) -> Response:
        headers = {"Content-Security-Policy": POLICY, "Cache-Control": "no-cache"}
        return Response(page, media_type="text/html; charset=utf-8", headers=headers)

    def asset(request: Request) -> Response:
        found = by_name.get(request.path_params["file"])
        if found is None:
            raise errors.not_found("file")
        return _file(found, request)

    router = APIRouter()
    router.add_route("/docs", docs, include_in_schema=False)
    router.add_route("/redoc", docs, include_in_schema=False)
    router.add_route("/docs/assets/{file}", asset, include_in_schema=False)
    router.add_route("/openapi.json", _document, include_in_schema=False)
    return router


@dataclass(frozen=True)
class Asset:
    """A file of the viewer under a name that changes with its content, so that browsers may keep it for ever."""

    path: Path

    @cached_property
    def name(self) -> str:
        return f"{self.path.stem}.{hashlib.sha256(self.content).hexdigest()[:12]}{self.path.suffix}"

    @property
    def content(self) -> bytes:
        return self.path.read_bytes()

    @cached_property
    def compressed(self) -> bytes:
        return gzip.compress(self.content, mtime=0)


def _page(title: str, base: str, names: dict[str, str]) -> bytes:
    links = {key: f"{base}/docs/assets/{name}" for key, name in names.items()}
    values = {"title": title, "document": f"{base}/openapi.json", **links}
    text = (VIEWER / "page.html").read_text(encoding="utf-8")
    return Template(text).substitute({key: html.escape(value) for key, value in values.items()}).encode()


def _file(asset: Asset, request: Request) -> Response:
    headers = {"Cache-Control": FOREVER, "Vary": "Accept-Encoding"}
    media_type = MEDIA_TYPES[PurePosixPath(asset.name).suffix]
    if not compression.accepts_gzip(request.headers.get("accept-encoding", "").encode("latin-1")):
        return Response(asset.content, media_type=media_type, headers=headers)
    return Response(asset.compressed, media_type=media_type, headers={**headers, "Content-Encoding": "gzip"})


def _document(request: Request) -> Response:
    content = orjson.dumps(request.app.openapi())
    etag = f'"{hashlib.sha256(content).hexdigest()[:16]}"'
    headers = {"ETag": etag, "Cache-Control": "no-cache"}
    if etag in request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers=headers)
    return Response(content, media_type="application/json", headers=headers)
