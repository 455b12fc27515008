"""Members over HTTP: roles, leaving, removal, a new owner; and what each of them reads of it in the logs."""

from uuid import uuid4

import httpx2
import pytest
from sqlalchemy import select

from doable.accounts import endings
from doable.core.db import Database
from doable.core.events import COLUMNS, EventRow, events
from doable.core.queries import query
from tests.support import asgi, folding
from tests.support.jobs import work
from tests.support.people import PASSWORD, Person
from tests.support.sharing import invite, join, members

OURS = events.c.stream_id != endings.STREAM
ALL = query(EventRow, select(*COLUMNS).where(OURS).order_by(events.c.stream_id, events.c.revision))


@pytest.fixture
async def home(ana: Person) -> str:
    return str((await ana.list())["id"])


async def told(running: asgi.Running, person: Person) -> list[tuple[str, str]]:
    """What a person's own log says, but for the inbox."""
    database: Database = running.state["db"]
    rows = await database.reads.all(ALL)
    mine = [row for row in rows if str(row.stream_id) == person.user["id"]]
    assert [row.revision for row in mine] == list(range(1, len(mine) + 1))
    return [(row.kind, row.data) for row in mine][1:]


def code(answer: httpx2.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["error"]["code"]


async def test_an_editor_writes_a_viewer_reads_and_neither_manages(ana: Person, bob: Person, home: str) -> None:
    todo = await ana.todo(list_id=home)
    joined = await join(ana, bob, home)
    assert (joined["id"], joined["role"], joined["owner_id"]) == (home, "editor", ana.user["id"])
    assert await members(bob, home) == {"ana": "owner", "bob": "editor"}
    assert (await bob.patch(f"/todos/{todo['id']}", {"title": "Oat milk"})).status_code == 200
    assert (await bob.patch(f"/lists/{home}", {"name": "Food"})).status_code == 200
    me = f"/lists/{home}/members/{bob.user['id']}"
    changed = await ana.patch(me, {"role": "viewer"})
    assert (changed.status_code, changed.json()["role"], changed.json()["user"]["username"]) == (200, "viewer", "bob")
    assert (await bob.get(f"/todos/{todo['id']}")).json()["title"] == "Oat milk"
    for answer in (
        await bob.patch(f"/todos/{todo['id']}", {"title": "x"}),
        await bob.post("/todos", {"title": "x", "list_id": home}),
        await bob.patch(f"/lists/{home}", {"name": "x"}),
        await bob.delete(f"/lists/{home}"),
        await bob.put(f"/lists/{home}/restoration"),
        await bob.patch(me, {"role": "editor"}),
        await bob.put(f"/lists/{home}/owner", {"user_id": bob.user["id"]}),
        await bob.get(f"/lists/{home}/invitations"),
        await bob.post(f"/lists/{home}/invitations", {"email": "x@example.com", "role": "editor"}),
        await bob.delete(f"/lists/{home}/members/{ana.user['id']}"),
    ):
        assert code(answer) == (403, "FORBIDDEN")
    assert (await bob.get(f"/lists/{home}")).headers["etag"].endswith('.viewer"')


async def test_a_role_that_is_there_already_changes_nothing(ana: Person, bob: Person, home: str) -> None:
    await join(ana, bob, home)
    answer = await ana.patch(f"/lists/{home}/members/{bob.user['id']}", {"role": "editor"})
    assert (answer.status_code, "doable-position" in answer.headers) == (200, False)
    assert (await folding.fold(ana, home)).revision == 3


async def test_who_is_removed_or_leaves_sees_nothing_any_more(
    ana: Person, bob: Person, home: str, running: asgi.Running
) -> None:
    todo = await ana.todo(list_id=home)
    me = f"/lists/{home}/members/{bob.user['id']}"
    for leaver in (ana, bob):
        await join(ana, bob, home)
        assert [item["id"] for item in (await bob.get("/lists")).json()["items"]] == [bob.inbox_id, home]
        gone = await leaver.delete(me)
        assert (gone.status_code, gone.content) == (204, b"")
        assert gone.headers["doable-position"].endswith(f":{(await folding.fold(ana, home)).revision}")
        for path in (f"/lists/{home}", f"/lists/{home}/members", f"/lists/{home}/events", f"/todos/{todo['id']}"):
            assert code(await bob.get(path)) == (404, "NOT_FOUND")
        assert [item["id"] for item in (await bob.get("/lists")).json()["items"]] == [bob.inbox_id]
        assert code(await leaver.delete(me)) == (404, "NOT_FOUND")
    copy = await folding.fold(ana, home)
    assert list(copy.members) == [ana.user["id"]]
    kinds = [kind for kind, _ in await told(running, bob)]
    assert kinds == ["list.joined", "list.left"] * 2


async def test_the_owner_can_neither_leave_nor_be_demoted(ana: Person, bob: Person, home: str) -> None:
    await join(ana, bob, home)
    for answer in (
        await ana.delete(f"/lists/{home}/members/{ana.user['id']}"),
        await ana.patch(f"/lists/{home}/members/{ana.user['id']}", {"role": "editor"}),
        await ana.delete(f"/lists/{ana.inbox_id}/members/{ana.user['id']}"),
    ):
        assert code(answer) == (409, "CONFLICT")
    unknown = await ana.patch(f"/lists/{home}/members/{uuid4()}", {"role": "editor"})
    assert (code(unknown), unknown.json()["error"]["message"]) == ((404, "NOT_FOUND"), "There is no such member.")
    owner = await ana.patch(f"/lists/{home}/members/{bob.user['id']}", {"role": "owner"})
    assert code(owner) == (422, "VALIDATION_ERROR")
    assert await members(ana, home) == {"ana": "owner", "bob": "editor"}


async def test_a_list_is_given_away_and_its_old_owner_stays_an_editor(
    ana: Person, bob: Person, home: str, running: asgi.Running
) -> None:
    await join(ana, bob, home, "viewer")
    given = await ana.put(f"/lists/{home}/owner", {"user_id": bob.user["id"]})
    assert given.status_code == 200
    assert (given.json()["owner_id"], given.json()["role"], given.json()["version"]) == (bob.user["id"], "editor", 2)
    assert given.headers["etag"].endswith('.2.editor"')
    assert await members(ana, home) == {"ana": "editor", "bob": "owner"}
    assert code(await ana.delete(f"/lists/{home}")) == (403, "FORBIDDEN")
    copy = await folding.fold(ana, home)
    assert copy.home == (await folding.shown(bob, home))[0]
    assert {member["user"]["username"]: member["role"] for member in copy.members.values()} == {
        "ana": "editor", "bob": "owner",
    }  # fmt: skip
    assert given.headers["doable-position"].endswith(f":{copy.revision}")
    assert (await told(running, ana))[-1] == ("list.role_changed", f'{{"list_id":"{home}","role":"editor"}}')
    assert (await told(running, bob))[-1] == ("list.role_changed", f'{{"list_id":"{home}","role":"owner"}}')
    assert (await bob.delete(f"/lists/{home}")).status_code == 204


async def test_a_list_is_given_to_members_only_and_the_inbox_to_nobody(
    ana: Person, bob: Person, home: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = f"/lists/{home}/owner"
    for stranger in (bob.user["id"], str(uuid4())):
        assert code(await ana.put(there, {"user_id": stranger})) == (404, "NOT_FOUND")
    same = await ana.put(there, {"user_id": ana.user["id"]})
    assert (same.status_code, "doable-position" in same.headers) == (200, False)
    assert code(await ana.put(f"/lists/{ana.inbox_id}/owner", {"user_id": ana.user["id"]})) == (409, "CONFLICT")
    await join(ana, bob, home)
    monkeypatch.setattr("doable.lists.operations.creation.MOST", 1)
    assert code(await ana.put(there, {"user_id": bob.user["id"]})) == (422, "LIMIT_REACHED")
    assert await members(ana, home) == {"ana": "owner", "bob": "editor"}


async def test_nothing_of_a_deleted_list_is_visible_but_to_its_owner_who_restores_it(
    ana: Person, bob: Person, home: str
) -> None:
    await join(ana, bob, home)
    pending = await invite(ana, "eve@example.com", home)
    await ana.delete(f"/lists/{home}")
    for person in (ana, bob):
        for method, path, body in (
            ("GET", "", None),
            ("GET", "/members", None),
            ("DELETE", f"/members/{bob.user['id']}", None),
            ("PATCH", f"/members/{bob.user['id']}", {"role": "viewer"}),
            ("PUT", "/owner", {"user_id": bob.user["id"]}),
            ("GET", "/invitations", None),
            ("DELETE", f"/invitations/{pending['id']}", None),
        ):
            assert code(await person.request(method, f"/lists/{home}{path}", json=body)) == (404, "NOT_FOUND"), path
    for method, path in (("DELETE", ""), ("PUT", "/restoration")):
        assert code(await bob.request(method, f"/lists/{home}{path}")) == (404, "NOT_FOUND")
    assert code(await bob.post("/invitations/acceptance", {"token": pending["token"]})) == (404, "NOT_FOUND")
    assert (await ana.put(f"/lists/{home}/restoration")).status_code == 200
    assert await members(bob, home) == {"ana": "owner", "bob": "editor"}


async def test_a_new_name_is_told_in_every_list(ana: Person, bob: Person, home: str, running: asgi.Running) -> None:
    await join(ana, bob, home)
    assert (await bob.patch("/users/me", {"username": "bobby", "timezone": "Europe/Zagreb"})).status_code == 200
    last = (await ana.get(f"/lists/{home}/events")).json()["events"][-1]
    assert (last["kind"], last["data"]["member"]["user"]["username"]) == ("member.updated", "bobby")
    assert last["data"]["changes"]["user"]["from"]["username"] == "bob"
    assert (await folding.fold(bob, bob.inbox_id)).members[bob.user["id"]]["user"]["username"] == "bobby"
    assert [kind for kind, _ in await told(running, bob)] == ["list.joined", "user.updated"]
    await bob.patch("/users/me", {"timezone": "UTC"})
    assert (await folding.fold(ana, home)).revision == last["revision"]
    assert [kind for kind, _ in await told(running, bob)] == ["list.joined", "user.updated", "user.updated"]


async def test_who_deletes_the_account_leaves_his_lists_and_his_name_goes_from_their_logs(
    ana: Person, bob: Person, home: str, running: asgi.Running
) -> None:
    await join(ana, bob, home)
    blocked = await ana.request("DELETE", "/users/me", json={"current_password": PASSWORD})
    assert (code(blocked), blocked.json()["error"]["details"]) == ((409, "OWNS_SHARED_LISTS"), {"list_ids": [home]})
    await bob.patch("/users/me", {"username": "robert-of-old"})
    assert (await bob.request("DELETE", "/users/me", json={"current_password": PASSWORD})).status_code == 204
    assert await members(ana, home) == {"ana": "owner"}
    page = await ana.get(f"/lists/{home}/events")
    assert "robert-of-old" not in page.text
    added, renamed, removed = page.json()["events"][2:]
    assert [event["kind"] for event in (added, renamed, removed)] == [
        "member.added", "member.updated", "member.removed",
    ]  # fmt: skip
    assert added["data"] == renamed["data"] == removed["data"] == {"user_id": bob.user["id"]}
    assert (await ana.request("DELETE", "/users/me", json={"current_password": PASSWORD})).status_code == 204
    await work(running)
    assert await running.state["db"].reads.all(ALL) == []


async def test_a_list_cannot_take_the_id_of_a_person(ana: Person, bob: Person) -> None:
    for taken in (bob.user["id"], ana.user["id"], bob.inbox_id):
        answer = await ana.post("/lists", {"name": "x", "id": taken})
        assert code(answer) == (409, "ALREADY_EXISTS")
    assert (await bob.get("/lists")).json()["total"] == 1


async def test_members_come_in_pages_in_the_order_in_which_they_joined(ana: Person, bob: Person, home: str) -> None:
    await join(ana, bob, home)
    first = (await ana.get(f"/lists/{home}/members?size=1")).json()
    rest = (await ana.get(f"/lists/{home}/members?size=1&cursor={first['next_cursor']}")).json()
    assert [page["items"][0]["user"] for page in (first, rest)] == [
        {"id": ana.user["id"], "username": "ana"},
        {"id": bob.user["id"], "username": "bob"},
    ]
    assert set(first["items"][0]) == {"user", "role", "joined_at"}
    assert (first["total"], rest["next_cursor"]) == (2, None)


async def test_a_list_that_is_deleted_keeps_nobody_from_deleting_the_account(
    ana: Person, bob: Person, home: str
) -> None:
    await join(ana, bob, home)
    await ana.delete(f"/lists/{home}")
    assert (await ana.request("DELETE", "/users/me", json={"current_password": PASSWORD})).status_code == 204
    assert (await bob.get("/lists")).json()["total"] == 1
