"""Seeing and ending one's sessions."""

import asyncio
from uuid import UUID

import httpx2
import pytest

from tests.support.accounts import without_id
from tests.support.people import API, PASSWORD, Person

KEYS = {"id", "current", "user_agent", "ip", "created_at", "last_used_at", "expires_at"}


async def again(person: Person) -> Person:
    """The same person with a further session."""
    body = {"login": person.user["username"], "password": PASSWORD}
    answer = await person.client.post(f"{API}/auth/login", json=body)
    assert answer.status_code == 200, answer.text
    return Person(person.client, person.user, answer.json())


async def listed(person: Person) -> list[dict[str, object]]:
    items: list[dict[str, object]] = (await person.get("/auth/sessions")).json()["items"]
    return items


async def ended(person: Person) -> bool:
    answer = await person.get("/users/me")
    assert answer.status_code == 200 or answer.json()["error"]["code"] == "SESSION_ENDED"
    return answer.status_code == 401


async def test_my_live_sessions_are_listed_and_nobody_elses(ana: Person, bruno: Person) -> None:
    phone = await again(ana)
    sessions = await listed(phone)
    assert [session["current"] for session in sessions] == [True, False]
    assert all(session.keys() == KEYS for session in sessions)
    assert all(len(str(session[name])) == 24 for session in sessions for name in KEYS if name.endswith("_at"))
    assert len(await listed(bruno)) == 1


async def test_sessions_come_in_pages(ana: Person) -> None:
    for _ in range(2):
        await again(ana)
    everything = [session["id"] for session in await listed(ana)]
    page = (await ana.get("/auth/sessions?page=2&size=2")).json()
    assert (page["page"], page["size"], page["total"], page["next_cursor"]) == (2, 2, 3, None)
    first = (await ana.get("/auth/sessions?size=2")).json()
    rest = (await ana.get(f"/auth/sessions?size=2&cursor={first['next_cursor']}")).json()
    assert (rest["page"], rest["total"], rest["next_cursor"]) == (None, None, None)
    assert [session["id"] for session in first["items"] + rest["items"]] == everything
    assert (await ana.get("/auth/sessions?cursor=AAAA")).json()["error"]["code"] == "INVALID_CURSOR"


async def test_a_session_that_is_ended_is_ended_at_once(ana: Person) -> None:
    phone = await again(ana)
    (other,) = [session for session in await listed(ana) if not session["current"]]
    assert (await ana.delete(f"/auth/sessions/{other['id']}")).status_code == 204
    assert await ended(phone)
    assert not await ended(ana)
    assert (await ana.delete(f"/auth/sessions/{other['id']}")).status_code == 404
    assert len(await listed(ana)) == 1


async def test_i_can_end_the_session_i_use(ana: Person) -> None:
    (mine,) = await listed(ana)
    assert (await ana.delete(f"/auth/sessions/{mine['id']}")).status_code == 204
    assert await ended(ana)


async def test_a_strangers_session_is_one_that_does_not_exist(ana: Person, bruno: Person) -> None:
    (hers,) = await listed(ana)
    strange = await bruno.delete(f"/auth/sessions/{hers['id']}")
    unknown = await bruno.delete(f"/auth/sessions/{UUID(int=1)}")
    assert strange.status_code == 404
    assert without_id(strange) == without_id(unknown)
    assert not await ended(ana)


async def test_all_other_sessions_end_together(ana: Person, bruno: Person) -> None:
    others = [await again(ana), await again(ana)]
    assert (await ana.delete("/auth/sessions")).status_code == 204
    assert [await ended(other) for other in others] == [True, True]
    assert not await ended(ana)
    assert not await ended(bruno)


@pytest.mark.parametrize("how", ["refresh token", "bearer", "both"])
async def test_logout_ends_this_session_only(ana: Person, how: str) -> None:
    phone = await again(ana)
    body = None if how == "bearer" else {"refresh_token": phone.tokens["refresh_token"]}
    headers = {} if how == "refresh token" else phone.headers
    answer = await ana.client.post(f"{API}/auth/logout", headers=headers, json=body)
    assert (answer.status_code, answer.content) == (204, b"")
    assert await ended(phone)
    assert not await ended(ana)


async def test_logout_needs_something_that_names_a_session(ana: Person, client: httpx2.AsyncClient) -> None:
    assert (await client.post(f"{API}/auth/logout")).json()["error"]["code"] == "UNAUTHENTICATED"
    forged = await client.post(f"{API}/auth/logout", json={"refresh_token": "dbr_" + "A" * 75})
    assert forged.json()["error"]["code"] == "UNAUTHENTICATED"
    assert (await client.post(f"{API}/auth/logout", json={"all": True})).status_code == 422
    assert not await ended(ana)


async def test_logging_out_at_once_is_logging_out(ana: Person) -> None:
    answers = await asyncio.gather(*(ana.post("/auth/logout") for _ in range(8)))
    assert {answer.status_code for answer in answers} <= {204, 401}
    phone = await again(ana)
    (session,) = await listed(phone)
    answers = await asyncio.gather(*(phone.delete(f"/auth/sessions/{session['id']}") for _ in range(8)))
    assert {answer.status_code for answer in answers} <= {204, 401}


async def test_nothing_names_no_session(ana: Person) -> None:
    assert (await ana.post("/auth/logout", {"refresh_token": None})).status_code == 422
    assert not await ended(ana)


async def test_logging_out_twice_is_logging_out(ana: Person, client: httpx2.AsyncClient) -> None:
    body = {"refresh_token": ana.tokens["refresh_token"]}
    assert [(await client.post(f"{API}/auth/logout", json=body)).status_code for _ in range(2)] == [204, 204]


@pytest.mark.parametrize("bad", ["1", "nonsense", "00000000-0000-0000-0000-00000000000g"])
async def test_what_is_no_id_is_not_acceptable(ana: Person, bad: str) -> None:
    assert (await ana.delete(f"/auth/sessions/{bad}")).status_code == 422
