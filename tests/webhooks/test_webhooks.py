"""Webhooks over HTTP: who may have which, what is shown of them, and where they may lead."""

from uuid import uuid4

import pytest
from sqlalchemy import select, update

from doable.core.db import Database
from doable.core.jobs.tables import DEAD, jobs
from doable.core.queries import query, scalar
from doable.webhooks.jobs import sweep
from doable.webhooks.operations import endpoints
from doable.webhooks.tables import webhooks
from tests.support import asgi
from tests.support.jobs import run_job, work
from tests.support.people import PASSWORD, Person
from tests.support.receivers import Receiver, subscribe
from tests.support.sharing import join

URL = "http://127.0.0.1:9/x"


async def test_the_secret_is_shown_once(ana: Person, receiver: Receiver) -> None:
    made = await subscribe(ana, receiver, kinds=["todo.created", "list.updated", "todo.created"])
    secret = made.pop("secret")
    assert secret.startswith("whsec_")
    assert made["kinds"] == ["list.updated", "todo.created"]
    assert (made["list_id"], made["url"], made["status"]) == (None, receiver.url, "active")
    assert (await ana.get(f"/webhooks/{made['id']}")).json() == made
    assert (await ana.get("/webhooks")).json()["items"] == [made]
    changed = await ana.patch(f"/webhooks/{made['id']}", {"kinds": None, "url": f"{receiver.url}/2"})
    assert (changed.json()["kinds"], changed.json()["url"]) == (None, f"{receiver.url}/2")
    unchanged = await ana.patch(f"/webhooks/{made['id']}", {"kinds": None})
    assert unchanged.json() == changed.json()
    assert secret not in changed.text
    assert (await ana.delete(f"/webhooks/{made['id']}")).status_code == 204
    assert (await ana.get(f"/webhooks/{made['id']}")).status_code == 404


async def test_an_answer_with_a_secret_is_never_compressed(ana: Person) -> None:
    accepts = {"Accept-Encoding": "gzip"}
    made = await ana.post("/webhooks", {"url": f"https://example.com/{'x' * 1_500}"}, headers=accepts)
    renewed = await ana.post(f"/webhooks/{made.json()['id']}/secret", headers=accepts)
    for answer in (made, renewed):
        assert answer.is_success
        assert len(answer.content) > 1_000
        assert "content-encoding" not in answer.headers
    other = await ana.get(f"/webhooks/{made.json()['id']}", headers=accepts)
    assert other.headers["content-encoding"] == "gzip"


async def test_an_id_is_taken_once(ana: Person, bob: Person) -> None:
    body = {"id": str(uuid4()), "url": URL}
    assert (await ana.post("/webhooks", body)).status_code == 201
    for person in (ana, bob):
        again = await person.post("/webhooks", body)
        assert (again.status_code, again.json()["error"]["code"]) == (409, "ALREADY_EXISTS")


async def test_webhooks_of_a_list_are_its_owners_and_those_of_a_person_his(
    ana: Person, bob: Person, receiver: Receiver
) -> None:
    home = (await ana.list())["id"]
    await join(ana, bob, home)
    of_list, own = await subscribe(ana, receiver, list_id=home), await subscribe(ana, receiver)
    assert (await bob.post("/webhooks", {"url": URL, "list_id": home})).status_code == 403
    assert (await bob.get(f"/webhooks/{of_list['id']}")).status_code == 403
    assert (await bob.get(f"/webhooks/{own['id']}")).status_code == 404
    assert (await bob.get("/webhooks")).json()["items"] == []
    await ana.put(f"/lists/{home}/owner", {"user_id": bob.user["id"]})
    assert [each["id"] for each in (await bob.get("/webhooks")).json()["items"]] == [of_list["id"]]
    assert [each["id"] for each in (await ana.get("/webhooks")).json()["items"]] == [own["id"]]


async def test_who_has_left_is_told_nothing_by_the_webhook_that_he_made_for_the_list(
    running: asgi.Running, ana: Person, bob: Person, receiver: Receiver
) -> None:
    home = (await ana.list())["id"]
    await join(ana, bob, home)
    await subscribe(ana, receiver, list_id=home)
    await ana.put(f"/lists/{home}/owner", {"user_id": bob.user["id"]})
    await bob.delete(f"/lists/{home}/members/{ana.user['id']}")
    await bob.todo(list_id=home)
    await work(running)
    assert receiver.received == []


async def test_a_deleted_account_is_told_nothing(running: asgi.Running, ana: Person, receiver: Receiver) -> None:
    await subscribe(ana, receiver)
    await ana.todo()
    deleted = await ana.request("DELETE", "/users/me", json={"current_password": PASSWORD})
    assert deleted.status_code == 204
    await work(running)
    assert receiver.received == []


async def test_there_are_so_many_and_no_more(ana: Person) -> None:
    for _ in range(20):
        assert (await ana.post("/webhooks", {"url": URL})).status_code == 201
    refused = await ana.post("/webhooks", {"url": URL})
    assert (refused.status_code, refused.json()["error"]["code"]) == (422, "LIMIT_REACHED")
    home = (await ana.list())["id"]
    assert (await ana.post("/webhooks", {"url": URL, "list_id": home})).status_code == 201


@pytest.mark.parametrize(
    "body",
    [
        {"url": "ftp://example.com/"}, {"url": "https://user@example.com/"}, {"url": "//example.com"}, {"url": ""},
        {"url": f"https://example.com/{'x' * 3000}"}, {"url": "https://exämple.com/"}, {"url": 7}, {},
        {"url": URL, "kinds": []}, {"url": URL, "kinds": ["todo.exploded"]}, {"url": URL, "kinds": "todo.created"},
        {"url": URL, "status": "disabled"}, {"url": URL, "secret": "mine"}, {"url": URL, "list_id": "x"},
    ],
)  # fmt: skip
async def test_what_is_no_webhook_is_refused(ana: Person, body: dict[str, object]) -> None:
    assert (await ana.post("/webhooks", body)).status_code == 422
    own = (await ana.post("/webhooks", {"url": URL})).json()
    if body:
        changed = await ana.patch(f"/webhooks/{own['id']}", body)
        assert changed.status_code == 422, changed.text


async def test_webhooks_of_who_has_left_go_even_if_the_job_that_was_to_purge_them_is_dead(
    running: asgi.Running, ana: Person, bob: Person
) -> None:
    for person in (ana, bob):
        assert (await person.post("/webhooks", {"url": URL})).status_code == 201
    assert (await ana.delete("/users/me", json={"current_password": PASSWORD})).status_code == 204
    db: Database = running.state["db"]
    async with db.transaction() as tx:
        await tx.execute(update(jobs).where(jobs.c.name == endpoints.purge.name).values(state=DEAD))
    await run_job(running, sweep)
    left = await db.reads.all(query(scalar, select(webhooks.c.user_id)))
    assert [str(user_id) for user_id in left] == [bob.user["id"]]
