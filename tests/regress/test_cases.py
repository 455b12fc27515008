"""Cases of others that no other test here has: cases.toml says whose they are."""

import ast
import asyncio
import email
import email.policy
from pathlib import Path
from typing import Any

import httpx2
import pytest

from doable.settings import Settings
from tests.support import asgi, jobs, people, receivers, sharing
from tests.support.accounts import Mailbox
from tests.support.people import API, Person

SOURCE = Path(__file__).parents[2] / "src" / "doable"
CLIENTS = {"httpx2", "httpcore2", "httpx", "requests", "aiohttp", "urllib3", "urllib.request", "http.client"}
OPENERS = {"open_connection", "create_connection"}
OUTWARD = {"core/outbound.py", "verification/serving.py", "client/caller.py", "client/sending.py"}
"""The way out for what users name, the run that talks to a server of its own on the loopback, and the client, which no
part of the server may import."""


async def test_what_is_below_one_is_not_found_below_another(ana: Person, bob: Person) -> None:
    """All of it is Ana's, but what stands in the path before it is not what it belongs to."""
    home, other = (await ana.list("Home"))["id"], (await ana.list("Other"))["id"]
    todo, second = await ana.todo(list_id=home), await ana.todo(list_id=other)
    await sharing.join(ana, bob, home)
    invitation = await sharing.invite(ana, "mira@example.com", home)
    reminder = (await ana.post(f"/todos/{todo['id']}/reminders", _in_a_year())).json()
    hooks = [
        (await ana.post("/webhooks", {"url": "https://a.example/", "list_id": one})).json() for one in (home, other)
    ]
    delivery = (await ana.post(f"/webhooks/{hooks[0]['id']}/ping")).json()
    wrong = [
        await ana.delete(f"/lists/{other}/invitations/{invitation['id']}"),
        await ana.patch(f"/lists/{other}/members/{bob.user['id']}", {"role": "viewer"}),
        await ana.delete(f"/lists/{other}/members/{bob.user['id']}"),
        await ana.delete(f"/todos/{second['id']}/reminders/{reminder['id']}"),
        await ana.post(f"/webhooks/{hooks[1]['id']}/deliveries/{delivery['id']}/retry"),
    ]
    assert [answer.status_code for answer in wrong] == [404] * len(wrong), [answer.text for answer in wrong]
    assert await sharing.members(ana, home) == {"ana": "owner", "bob": "editor"}
    assert (await ana.get(f"/lists/{home}/invitations")).json()["items"][0]["status"] == "pending"
    assert (await ana.get(f"/todos/{todo['id']}/reminders")).json()["items"] == [reminder]


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_no_answer_but_that_to_its_maker_has_a_secret(ana: Person, bob: Person) -> None:
    home = (await ana.list())["id"]
    await sharing.join(ana, bob, home, "viewer")
    hook = (await ana.post("/webhooks", {"url": "https://a.example/", "list_id": home})).json()
    token = (await ana.post("/users/me/tokens", {"name": "t", "scopes": ["todos:read"]})).json()
    invitation = await sharing.invite(ana, "mira@example.com", home)
    secrets = [hook["secret"], token["token"], invitation["token"]]
    for person in (ana, bob):
        for path in (
            "/webhooks", f"/webhooks/{hook['id']}", f"/webhooks/{hook['id']}/deliveries", "/users/me/tokens",
            f"/lists/{home}/invitations", "/invitations", f"/lists/{home}", f"/lists/{home}/members",
            f"/lists/{home}/events?after=", "/export", "/users/me", "/auth/sessions",
        ):  # fmt: skip
            answer = await person.get(path)
            assert not [secret for secret in secrets if secret in answer.text], f"{person.user['username']} {path}"


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_a_title_is_no_markup_in_a_mail(
    ana: Person, running: asgi.Running, mailbox: Mailbox, settings: Settings
) -> None:
    formats = "%(title)s {0.__class__} ${title}"
    markup = f'<img src="https://evil.example/x" onerror=alert(1)> &amp; "x" {formats}'
    await ana.client.post(f"{API}/auth/verify-email", json={"token": await mailbox.token("ana@example.com", "onfirm")})
    todo = await ana.todo(markup, due={"date": "2020-01-01"})
    await ana.post(f"/todos/{todo['id']}/reminders", {**_in_a_year(), "channels": ["email"]})
    await receivers.skip_ahead(running)
    await jobs.work(running)
    mails = [file.read_text() for file in (settings.data_dir / "mail").glob("*.eml")]
    reminders = [mail for mail in mails if "asked to be reminded" in mail]
    assert reminders
    for mail in reminders:
        html = mail.partition("text/html")[2]
        assert "&lt;img" in html
        assert "<img" not in html
        plain = email.message_from_string(mail, policy=email.policy.default).get_body(("plain",))
        assert plain is not None
        assert markup in " ".join(plain.get_content().split())


@pytest.mark.parametrize("path", sorted(str(file.relative_to(SOURCE)) for file in SOURCE.rglob("*.py")), ids=str)
def test_there_is_one_way_out(path: str) -> None:
    """Who else asked addresses would have to look at them as well."""
    if path not in OUTWARD:
        assert not _ways_out(ast.parse((SOURCE / path).read_text()))


@pytest.mark.parametrize(
    "planted",
    ["import httpx2", "from urllib.request import urlopen", "import http.client", "asyncio.open_connection('a', 1)"],
)
def test_another_way_out_is_noticed(planted: str) -> None:
    assert _ways_out(ast.parse(planted))


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_a_range_of_thousands_of_parts_is_not_looked_at(ana: Person) -> None:
    ranges = "bytes=" + ",".join(["0-"] * 3_000)
    for path in ("/docs", "/openapi.json", f"{API}/export"):
        whole = await ana.client.get(path, headers=ana.headers)
        answer = await ana.client.get(path, headers={**ana.headers, "Range": ranges})
        assert (answer.status_code, "content-range" in answer.headers) == (200, False)
        if not path.endswith("export"):
            assert answer.content == whole.content


@pytest.mark.timeout(120)
async def test_who_goes_away_in_the_middle_leaves_his_answer_to_nobody(client: httpx2.AsyncClient) -> None:
    """Half of the requests are cut off somewhere; whoever comes next on the same connection sees what is his."""
    everybody = [await people.register(client, name) for name in ("ana", "bob", "mira")]
    todos = [await person.todo(f"canary of {person.user['username']}") for person in everybody]

    async def asks(number: int) -> None:
        person, todo = everybody[number % 3], todos[number % 3]
        asking = asyncio.create_task(person.get(f"/todos/{todo['id']}" if number % 2 else "/todos"))
        if leaves := number % 4 < 2:
            await asyncio.sleep(0.0007 * (number % 13))
            asking.cancel()
        (answer,) = await asyncio.gather(asking, return_exceptions=True)
        assert leaves or (isinstance(answer, httpx2.Response) and answer.is_success)
        if isinstance(answer, httpx2.Response) and answer.is_success:
            titles = _titles(answer.json())
            assert titles == {todo["title"]}, f"{person.user['username']} sees {titles}"

    for start in range(0, 600, 30):
        await asyncio.gather(*(asks(number) for number in range(start, start + 30)))


def _titles(body: dict[str, Any]) -> set[str]:
    return {todo["title"] for todo in body.get("items", [body])}


def _in_a_year() -> dict[str, Any]:
    return {"at": "2030-01-01T00:00:00Z", "channels": ["room"]}


def _ways_out(tree: ast.Module) -> list[str]:
    found = []
    for node in ast.walk(tree):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom):
            names = [node.module or "", *(f"{node.module}.{alias.name}" for alias in node.names)]
        found += [name for name in names if name in CLIENTS]
        if isinstance(node, ast.Attribute) and node.attr in OPENERS:
            found.append(node.attr)
    return found
