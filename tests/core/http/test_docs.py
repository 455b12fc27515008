"""`/docs` as a browser asks for it, without a browser."""

import gzip
import hashlib
import re

import httpx2
import pytest

from doable.core.http import docs
from doable.settings import Settings
from tests.support import applications

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


async def test_both_addresses_answer_the_page_under_a_policy_without_inline_code(client: httpx2.AsyncClient) -> None:
    page = await client.get("/docs")
    assert page.status_code == 200
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    policy = page.headers["content-security-policy"]
    assert policy.startswith("default-src 'none';")
    assert "unsafe" not in policy
    assert "<title>Todo API</title>" in page.text
    redoc = await client.get("/redoc")
    assert (redoc.status_code, redoc.text) == (200, page.text)
    assert redoc.headers["content-security-policy"] == policy


async def test_every_link_of_the_page_leads_to_a_file_that_may_be_kept_for_ever(client: httpx2.AsyncClient) -> None:
    links = re.findall(r'(?:href|src)="(/docs/assets/[^"]+)"', (await client.get("/docs")).text)
    assert len(links) == len(docs.FILES)
    for link in links:
        answer = await client.get(link)
        assert answer.status_code == 200
        assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"
        assert answer.headers["content-type"].startswith(("text/css", "text/javascript"))
        assert hashlib.sha256(answer.content).hexdigest()[:12] in link


async def test_the_viewer_is_sent_compressed_to_whoever_takes_it(client: httpx2.AsyncClient) -> None:
    link = re.findall(r'"(/docs/assets/swagger-ui-bundle[^"]+)"', (await client.get("/docs")).text)[0]
    plain = await client.get(link, headers={"Accept-Encoding": "identity"})
    assert "content-encoding" not in plain.headers
    async with client.stream("GET", link, headers={"Accept-Encoding": "gzip"}) as answer:
        packed = b"".join([chunk async for chunk in answer.aiter_raw()])
    assert answer.headers["content-encoding"] == "gzip"
    assert gzip.decompress(packed) == plain.content
    assert len(packed) < len(plain.content) / 3


@pytest.mark.parametrize("name", ["README.md", "page.html", "start.js", "..%2Fdocs.py", "..%2Fpage.html", "%00"])
async def test_no_other_file_is_served(client: httpx2.AsyncClient, name: str) -> None:
    answer = await client.get(f"/docs/assets/{name}")
    assert answer.status_code in {400, 404}
    assert answer.json()["error"]["code"] in {"MALFORMED_REQUEST", "NOT_FOUND"}


async def test_the_document_is_sent_again_only_when_it_has_changed(client: httpx2.AsyncClient) -> None:
    first = await client.get("/openapi.json")
    assert first.headers["content-type"] == "application/json"
    assert first.json()["openapi"].startswith("3.1.")
    again = await client.get("/openapi.json", headers={"If-None-Match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    other = await client.get("/openapi.json", headers={"If-None-Match": '"another"'})
    assert other.status_code == 200


async def test_behind_a_path_of_a_proxy_the_links_have_it(settings: Settings) -> None:
    changed = settings.model_copy(update={"public_url": "https://testserver/todo", "app_name": "<Ours>"})
    async with applications.started(changed) as client:
        page = (await client.get("/docs")).text
    assert 'data-document="/todo/openapi.json"' in page
    assert 'src="/todo/docs/assets/start.' in page
    assert "<title>&lt;Ours&gt;</title>" in page


async def test_documents_can_be_switched_off(settings: Settings) -> None:
    async with applications.started(settings.model_copy(update={"docs_enabled": False})) as client:
        for path in ("/docs", "/redoc", "/openapi.json", "/docs/assets/start.js"):
            assert (await client.get(path)).status_code == 404
