"""Making, seeing and deleting API tokens."""

import asyncio
import datetime as dt
import hashlib
import re
from typing import Any

import pytest
from sqlalchemy import func, select

from doable.accounts.operations import api_tokens as operations
from doable.accounts.tables import api_tokens
from doable.core import clock, ids
from doable.core.db import Database
from doable.core.queries import query, scalar
from tests.support.accounts import without_id
from tests.support.people import API, Person

KEYS = {"id", "name", "scopes", "expires_at", "last_used_at", "created_at"}
COUNT = query(scalar, select(func.count().label("count")).select_from(api_tokens))


def form(**members: Any) -> dict[str, Any]:
    return {"name": "Backup", "scopes": ["todos:read"], **members}


async def test_a_token_is_shown_once(ana: Person, db: Database) -> None:
    until = clock.iso(clock.now() + dt.timedelta(days=1))
    answer = await ana.post("/users/me/tokens", form(name=" Back\u0301up ", expires_at=until))
    made = answer.json()
    assert answer.status_code == 201
    assert answer.headers["Location"] == f"{API}/users/me/tokens/{made['id']}"
    assert made.keys() == KEYS | {"token"}
    assert re.fullmatch(r"dbl_[\w-]{43}", made["token"])
    assert (made["scopes"], made["expires_at"], made["last_used_at"]) == (["todos:read"], until, None)
    (listed,) = (await ana.get("/users/me/tokens")).json()["items"]
    assert listed == {name: value for name, value in made.items() if name != "token"}
    stored = await db.reads.one(query(scalar, select(api_tokens.c.digest)))
    assert stored == hashlib.sha256(made["token"].encode()).digest()


async def test_a_client_may_name_its_token_once(ana: Person, bruno: Person) -> None:
    own = str(ids.new_id())
    assert (await ana.post("/users/me/tokens", form(id=own))).json()["id"] == own
    again = await ana.post("/users/me/tokens", form(id=own))
    assert (again.status_code, again.json()["error"]["code"]) == (409, "ALREADY_EXISTS")
    hers = (await bruno.post("/users/me/tokens", form(id=own))).json()
    assert hers["id"] == own, "whether somebody else has it is no answer"
    assert (await ana.delete(f"/users/me/tokens/{own}")).status_code == 204
    assert [token["id"] for token in (await bruno.get("/users/me/tokens")).json()["items"]] == [own]


async def test_what_is_no_token_is_not_acceptable(ana: Person, db: Database) -> None:
    for field, members in (
        ("name", {"name": ""}),
        ("name", {"name": "x" * 101}),
        ("name", {"name": "a\nb"}),
        ("scopes", {"scopes": []}),
        ("scopes", {"scopes": ["todos:read", "todos:read"]}),
        ("scopes", {"scopes": "todos:read"}),
        ("scopes.0", {"scopes": ["admin"]}),
        ("scopes.0", {"scopes": ["TODOS:READ"]}),
        ("expires_at", {"expires_at": clock.iso(clock.now() - dt.timedelta(seconds=1))}),
        ("expires_at", {"expires_at": "2999-01-01T00:00:00"}),
        ("expires_at", {"expires_at": 32503680000}),
        ("id", {"id": None}),
        ("expires_at", {"expires_at": None}),
        ("id", {"id": "00000000-0000-0000-0000-000000000000"}),
        ("token", {"token": "dbl_x"}),
        ("user_id", {"user_id": ana.user["id"]}),
        ("created_at", {"created_at": ana.user["created_at"]}),
    ):
        answer = await ana.post("/users/me/tokens", form(**members))
        assert answer.status_code == 422, members
        assert answer.json()["error"]["details"][0]["field"].startswith(f"body.{field}")
    assert await db.reads.one(COUNT) == 0


async def test_a_user_has_fifty_tokens_at_most(
    ana: Person, bruno: Person, db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert operations.MOST == 50
    monkeypatch.setattr(operations, "MOST", 3)
    answers = await asyncio.gather(*(ana.post("/users/me/tokens", form()) for _ in range(8)))
    assert sorted(answer.status_code for answer in answers) == [201] * 3 + [422] * 5
    assert {answer.json()["error"]["code"] for answer in answers if answer.status_code == 422} == {"LIMIT_REACHED"}
    assert await db.reads.one(COUNT) == 3
    assert (await bruno.post("/users/me/tokens", form())).status_code == 201


async def test_tokens_come_in_pages_the_newest_first(ana: Person) -> None:
    made = [(await ana.post("/users/me/tokens", form(name=f"n{n}"))).json()["name"] for n in range(3)]
    first = (await ana.get("/users/me/tokens?size=2")).json()
    assert (first["page"], first["size"], first["total"]) == (1, 2, 3)
    rest = (await ana.get(f"/users/me/tokens?size=2&cursor={first['next_cursor']}")).json()
    assert [token["name"] for token in first["items"] + rest["items"]] == made[::-1]


async def test_a_strangers_token_is_one_that_does_not_exist(ana: Person, bruno: Person, db: Database) -> None:
    made = (await ana.post("/users/me/tokens", form())).json()
    strange = await bruno.delete(f"/users/me/tokens/{made['id']}")
    unknown = await bruno.delete(f"/users/me/tokens/{ids.new_id()}")
    assert strange.status_code == 404
    assert without_id(strange) == without_id(unknown)
    assert await db.reads.one(COUNT) == 1
    assert (await ana.delete(f"/users/me/tokens/{made['id']}")).status_code == 204
    assert (await ana.delete(f"/users/me/tokens/{made['id']}")).status_code == 404
