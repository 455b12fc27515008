"""Who may come into a room, and how the others are turned away."""

import asyncio
import datetime as dt

import httpx2
import pytest
import time_machine
from websockets.exceptions import InvalidStatus

from doable.realtime import admission
from doable.realtime.connections import PER_PERSON
from tests.support.people import API, Person
from tests.support.rooms import Seat, Served
from tests.support.sharing import join

STRANGE_ID = "0190f5a0-7c3e-7b1a-9d2c-5f6e7a8b9c0d"
ORIGIN = {"cors_origins": ("https://app.example.com",), "public_url": "https://todo.example.com"}

sqlite_only = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


async def ticket(person: Person) -> str:
    answer = await person.post("/auth/ticket")
    assert answer.status_code == 201, answer.text
    assert answer.json()["expires_in"] == 30
    made: str = answer.json()["ticket"]
    return made


async def refused(seat: Seat) -> int:
    seat._welcomed = False
    async with seat:
        return (await seat.closed())[0]


@pytest.mark.parametrize("prefix", ["", API])
async def test_a_room_is_served_at_the_root_and_under_the_prefix(served: Served, ana: Person, prefix: str) -> None:
    async with served.visit(ana, ana.inbox_id, prefix=prefix) as seat:
        assert seat.welcome["room"] == ana.inbox_id


async def test_a_ticket_opens_a_room_once_however_many_show_it(served: Served, ana: Person) -> None:
    shown = await ticket(ana)
    seats = [Seat(served, {}, ana.inbox_id, query=f"?token={shown}", welcomed=False) for _ in range(5)]

    async def first(seat: Seat) -> str | int:
        async with seat:
            try:
                message = await seat.hear()
            except Exception:  # noqa: BLE001 — closed: the code says why
                return seat.socket.close_code or 0
            return str(message["type"])

    assert sorted(map(str, await asyncio.gather(*map(first, seats)))) == ["4004"] * 4 + ["welcome"]


async def test_a_ticket_opens_a_room_as_subprotocol(served: Served, ana: Person) -> None:
    shown = await ticket(ana)
    async with Seat(served, {}, ana.inbox_id, subprotocols=["doable.v1", f"ticket.{shown}"]) as seat:
        assert seat.socket.subprotocol == "doable.v1"


async def test_a_ticket_of_a_program_has_the_rights_of_its_token(served: Served, ana: Person) -> None:
    made = (await ana.post("/users/me/tokens", {"name": "x", "scopes": ["todos:read"]})).json()
    bearer = {"Authorization": f"Bearer {made['token']}"}
    answer = await ana.client.post(f"{API}/auth/ticket", headers=bearer)
    async with Seat(served, {}, ana.inbox_id, query=f"?token={answer.json()['ticket']}") as seat:
        await ana.delete(f"/users/me/tokens/{made['id']}")
        assert (await seat.closed())[0] == 4004


async def test_a_ticket_ends_after_thirty_seconds_and_with_its_session(served: Served, ana: Person) -> None:
    old, ended = await ticket(ana), await ticket(ana)
    with time_machine.travel(dt.datetime.now(dt.UTC) + dt.timedelta(seconds=31), tick=True):
        assert await refused(Seat(served, {}, ana.inbox_id, query=f"?token={old}")) == 4004
    await ana.post("/auth/logout")
    assert await refused(Seat(served, {}, ana.inbox_id, query=f"?token={ended}")) == 4004


async def test_without_a_live_credential_the_code_is_4004(served: Served, ana: Person) -> None:
    assert await refused(Seat(served, {}, ana.inbox_id)) == 4004
    assert await refused(Seat(served, {"Authorization": "Bearer nonsense"}, ana.inbox_id)) == 4004
    assert await refused(Seat(served, {}, ana.inbox_id, query=f"?token={ana.tokens['access_token']}")) == 4004
    await ana.post("/auth/logout")
    assert await refused(served.visit(ana, ana.inbox_id)) == 4004


async def test_a_room_that_one_may_not_see_is_like_one_that_does_not_exist(
    served: Served, ana: Person, ben: Person
) -> None:
    for room in (ana.inbox_id, STRANGE_ID, "nonsense", STRANGE_ID.upper()):
        assert await refused(served.visit(ben, room)) == 4003
    made = await ben.list()
    await ben.delete(f"/lists/{made['id']}")
    assert await refused(served.visit(ben, made["id"])) == 4003


async def test_a_token_needs_the_scope_and_a_viewer_may_come(served: Served, ana: Person, ben: Person) -> None:
    for scope, code in (("lists:read", 4003), ("todos:read", None)):
        made = (await ana.post("/users/me/tokens", {"name": "x", "scopes": [scope]})).json()
        seat = Seat(served, {"Authorization": f"Bearer {made['token']}"}, ana.inbox_id)
        if code:
            assert await refused(seat) == code
        else:
            async with seat:
                assert seat.welcome
    made = await ana.list()
    await join(ana, ben, made["id"], "viewer")
    async with served.visit(ben, made["id"]) as seat:
        assert len(seat.welcome["online"]) == 1


@sqlite_only
@pytest.mark.parametrize("settings", [ORIGIN], indirect=True)
async def test_a_page_of_somebody_else_is_refused_before_the_handshake(served: Served, ana: Person) -> None:
    for origin in ("https://app.example.com", "https://todo.example.com"):
        async with served.visit(ana, ana.inbox_id, origin=origin) as seat:
            assert seat.welcome
    evil = ("https://evil.example", "null", "https://app.example.com.evil.example", "https://app.example.com:8443",
            "https://APP.example.com", "http://app.example.com")  # fmt: skip
    for origin in evil:
        with pytest.raises(InvalidStatus) as refusal:
            async with served.visit(ana, ana.inbox_id, origin=origin):
                pass
        assert refusal.value.response.status_code == 403


@sqlite_only
async def test_one_person_has_so_many_connections_and_no_more(served: Served, ana: Person) -> None:
    seats = [served.visit(ana, ana.inbox_id) for _ in range(PER_PERSON)]
    for seat in seats:
        await seat.__aenter__()
    assert await refused(served.visit(ana, ana.inbox_id)) == 4429
    await seats[0].__aexit__()
    async with served.visit(ana, ana.inbox_id) as seat:
        assert len(seat.welcome["online"]) == 1
    for seat in seats[1:]:
        await seat.__aexit__()


@sqlite_only
async def test_who_finds_the_queue_full_is_told_when_to_come_back(
    served: Served, ana: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(admission, "WAITING", 0)
    with pytest.raises(InvalidStatus) as refusal:
        async with served.visit(ana, ana.inbox_id):
            pass
    assert refusal.value.response.status_code == 503
    assert 1 <= int(refusal.value.response.headers["Retry-After"]) <= 5
    stream = await ana.get(f"/lists/{ana.inbox_id}/events/stream")
    assert (stream.status_code, stream.json()["error"]["code"]) == (503, "UNAVAILABLE")


@sqlite_only
async def test_the_log_shows_no_ticket(
    served: Served, ana: Person, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    with caplog.at_level("DEBUG", logger="doable"):
        shown = await ticket(ana)
        async with Seat(served, {}, ana.inbox_id, query=f"?token={shown}"):
            pass
        assert await refused(Seat(served, {}, ana.inbox_id, query=f"?token={shown}")) == 4004
    assert shown not in caplog.text + "".join(capfd.readouterr())


@sqlite_only
async def test_a_handshake_asks_for_the_host_like_any_request(served: Served, ana: Person) -> None:
    async with httpx2.AsyncClient(trust_env=False) as client:
        upgrade = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13",
                   "Host": "evil.example",
                   "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==", **ana.headers}  # fmt: skip
        answer = await client.get(f"{served.base_url}/ws/{ana.inbox_id}", headers=upgrade)
    assert answer.status_code == 400


@sqlite_only
async def test_a_process_that_was_held_up_looks_again_before_it_refuses(served: Served, ana: Person) -> None:
    served.state["endings"]._current_at -= 60
    async with served.visit(ana, ana.inbox_id) as seat:
        assert seat.welcome


@sqlite_only
@pytest.mark.parametrize("settings", [{"rate_limit_per_minute": 5}], indirect=True)
async def test_who_invents_tickets_writes_nothing_and_is_counted(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse() -> None:
        pytest.fail("a transaction for an invented ticket")

    monkeypatch.setattr(served.state["db"], "transaction", refuse)
    codes = [await refused(Seat(served, {}, "me", query=f"?token=dbk_{n}")) for n in range(7)]
    assert codes == [4004] * 5 + [4429] * 2
