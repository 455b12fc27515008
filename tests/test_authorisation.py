"""Who may do what: every operation, asked by everybody who can stand to a list in any way, about every kind of id.

The expected answers follow from one table. An operation that is not in it fails the build.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple
from uuid import uuid4

import httpx2
import pytest
from fastapi.routing import iter_route_contexts
from pydantic import SecretStr

from doable import app as application
from doable.core.limits import Budget
from doable.settings import Settings
from tests.support import asgi, world
from tests.support.accounts import without_id
from tests.support.world import Caller, People

PREFIX = "/api/v1"
SCOPES = ("todos:read", "todos:write", "lists:read", "lists:write", "account")
ROLES = {"owner": 3, "editor": 2, "viewer": 1}

MADE_UP = ("new_id", "session_id", "token_id", "import_id", "reminder_id", "revision")

type Kind = Literal["public", "self", "session", "admin", "list", "invitation"]
type Ids = dict[str, str]


class Rule(NamedTuple):
    """What an operation asks of its caller.

    `public`: nothing. `self`: it is about the caller alone. `session`: the same, and no token will do. `admin`.
    `list`: the `least` role in the list. `invitation`: to hold it. `needs`: scopes of a token. `body`: what is sent,
    with ids in braces. `spends`: it can be done once. `status`: of an answer that is not 2xx though everything is
    allowed, for want of a password or of what it is about. `hidden`: who may not learns nothing of what is in the list.
    `endless`: an answer to somebody who may would not end; tests/realtime has those.
    """

    kind: Kind
    needs: str = ""
    least: str = "viewer"
    body: Any = None
    spends: bool = False
    status: int = 0
    hidden: bool = False
    endless: bool = False


def reading(scope: str) -> Rule:
    return Rule("list", scope)


def writing(scope: str, body: Any = None, **more: Any) -> Rule:
    return Rule("list", scope, "editor", body, **more)


def owning(body: Any = None, **more: Any) -> Rule:
    return Rule("list", "lists:write", "owner", body, **more)


TOKEN = {"token": "{token}"}
RENAMING = {"op": "todo.update", "id": "{todo_id}", "data": {"title": "z"}}
WRONG = {"current_password": "not my password"}
NEW = {"password": "seven boats at sea", "confirm_password": "seven boats at sea"}
TABLE: dict[str, Rule] = {
    "POST /users": Rule("public"),
    "POST /auth/login": Rule("public"),
    "POST /auth/refresh": Rule("public"),
    "POST /auth/logout": Rule("public"),
    "POST /auth/password-reset": Rule("public"),
    "POST /auth/password-reset/confirm": Rule("public"),
    "POST /auth/verify-email": Rule("public"),
    "POST /auth/ticket": Rule("self", "todos:read"),
    "GET /users/me": Rule("self", "account"),
    "PATCH /users/me": Rule("self", "account", body={"timezone": "UTC"}),
    "GET /users/me/digest": Rule("self", "account"),
    "PUT /users/me/digest": Rule("self", "account", body={"at": "07:30"}),
    "GET /lists": Rule("self", "lists:read"),
    "POST /lists": Rule("self", "lists:write", body={"name": "x"}),
    "GET /todos": Rule("self", "todos:read"),
    "GET /todos?list_id={list_id}": reading("todos:read"),
    "POST /batch": writing("todos:write", {"operations": [RENAMING]}),
    "POST /sync": Rule("self", "todos:read", body={"epoch": None, "revisions": {}}),
    "GET /export": Rule("self", "lists:read todos:read"),
    "POST /import": Rule("self", "lists:write todos:write", body={"format": "doable", "version": 1}),
    "GET /imports/{import_id}": Rule("self", "todos:read", status=404),
    "GET /invitations": Rule("self", "lists:read"),
    "GET /auth/sessions": Rule("session"),
    "DELETE /auth/sessions": Rule("session"),
    "DELETE /auth/sessions/{session_id}": Rule("session", status=404),
    "GET /users/me/tokens": Rule("session"),
    "POST /users/me/tokens": Rule("session", body={"name": "x", "scopes": ["account"]}),
    "DELETE /users/me/tokens/{token_id}": Rule("session", status=404),
    "PUT /users/me/password": Rule("session", body={**WRONG, **NEW}, status=403),
    "DELETE /users/me": Rule("session", body=WRONG, status=403),
    "GET /users": Rule("admin"),
    "PATCH /users/{user_id}": Rule("admin", body={}),
    "GET /lists/{list_id}": reading("lists:read"),
    "PATCH /lists/{list_id}": writing("lists:write", {"name": "y"}),
    "DELETE /lists/{list_id}": owning(spends=True),
    "PUT /lists/{list_id}/restoration": owning(),
    "PUT /lists/{list_id}/owner": owning({"user_id": "{user_id}"}, spends=True, hidden=True),
    "GET /lists/{list_id}/members": reading("lists:read"),
    "PATCH /lists/{list_id}/members/{user_id}": owning({"role": "viewer"}),
    "DELETE /lists/{list_id}/members/{user_id}": owning(spends=True),
    "GET /lists/{list_id}/invitations": Rule("list", "lists:read", "owner"),
    "POST /lists/{list_id}/invitations": owning({"email": "new@example.com", "role": "editor"}),
    "DELETE /lists/{list_id}/invitations/{invitation_id}": owning(spends=True, hidden=True),
    "POST /invitations/acceptance": Rule("invitation", "lists:write", body=TOKEN, spends=True),
    "POST /invitations/refusal": Rule("invitation", "lists:write", body=TOKEN, spends=True),
    "GET /lists/{list_id}/events": reading("todos:read"),
    "GET /lists/{list_id}/events/stream": Rule("list", "todos:read", endless=True),
    # Of an event that there is not yet: whose there is may be undone by one person only, see todos/test_undo.py.
    "POST /lists/{list_id}/events/{revision}/undo": writing("todos:write", status=404),
    "POST /todos": writing("todos:write", {"title": "x", "list_id": "{list_id}"}),
    "GET /labels": Rule("self", "todos:read"),
    "GET /labels?list_id={list_id}": reading("todos:read"),
    "GET /todos/{todo_id}": reading("todos:read"),
    "PATCH /todos/{todo_id}": writing("todos:write", {"title": "y"}),
    "DELETE /todos/{todo_id}": writing("todos:write", spends=True),
    "PUT /todos/{new_id}": writing("todos:write", {"title": "x", "list_id": "{list_id}"}, spends=True),
    "PUT /todos/{todo_id}/completion": writing("todos:write"),
    "DELETE /todos/{todo_id}/completion": writing("todos:write"),
    "PUT /todos/{todo_id}/position": writing("todos:write", {"list_id": "{list_id}"}),
    "PUT /todos/{trashed_id}/restoration": writing("todos:write", spends=True),
    "GET /trash": Rule("self", "todos:read"),
    "DELETE /trash/{trashed_id}": Rule("list", "todos:write", "owner", spends=True),
    "GET /todos/{todo_id}/history": reading("todos:read"),
    "GET /todos/{todo_id}/occurrences": reading("todos:read"),
    "GET /todos/{todo_id}/reminders": reading("todos:read"),
    "POST /todos/{todo_id}/reminders": Rule("list", "todos:write", body={"offset_minutes": -10}),
    "DELETE /todos/{todo_id}/reminders/{reminder_id}": Rule("list", "todos:write", status=404),
    "GET /webhooks": Rule("self", "lists:read"),
    "POST /webhooks": owning({"url": "https://hooks.example.com/", "list_id": "{list_id}"}),
    "GET /webhooks/{webhook_id}": Rule("list", "lists:read", "owner"),
    "PATCH /webhooks/{webhook_id}": owning({"kinds": ["todo.created"]}),
    "DELETE /webhooks/{webhook_id}": owning(spends=True),
    "POST /webhooks/{webhook_id}/ping": owning(),
    "POST /webhooks/{webhook_id}/secret": owning(),
    "GET /webhooks/{webhook_id}/deliveries": Rule("list", "lists:read", "owner"),
    "POST /webhooks/{webhook_id}/deliveries/{delivery_id}/retry": owning(hidden=True),
}  # fmt: skip


class Case(NamedTuple):
    """One request: which rule, who asks, and what has been put in the place of which id (nothing: his own list's)."""

    operation: str
    caller: Caller
    role: str
    ids: Ids
    replaced: str = ""

    @property
    def rule(self) -> Rule:
        return TABLE[self.operation]

    def __str__(self) -> str:
        return f"{self.operation} by {self.caller.name}" + (f", {self.replaced}" if self.replaced else "")


class Expected(NamedTuple):
    status: int
    code: str = ""


ALLOWED = Expected(200)
NOT_FOUND = Expected(404, "NOT_FOUND")


def expected(case: Case) -> Expected:
    """In the order of refusals: the credential, its scope, what is seen, the role."""
    rule, role = case.rule, case.role
    at_the_door = {
        "anonymous": Expected(401, "UNAUTHENTICATED"),
        "disabled": Expected(401, "SESSION_ENDED"),
        "disabled token": Expected(401, "UNAUTHENTICATED"),
        "token": Expected(403, "SESSION_REQUIRED"),
        "unscoped": Expected(403, "INSUFFICIENT_SCOPE"),
    }
    if role in at_the_door:
        return at_the_door[role]
    if rule.kind == "list":
        return _expected_in_list(case)
    if rule.kind == "admin" and role != "admin":
        return Expected(403, "FORBIDDEN")
    return NOT_FOUND if case.replaced and not (rule.kind == "admin" and "another's" in case.replaced) else ALLOWED


def _expected_in_list(case: Case) -> Expected:
    place = case.replaced.partition(" ")[0]
    if (
        case.role not in ROLES
        or place in {"list_id", "todo_id", "trashed_id", "webhook_id"}
        or (place and not case.rule.hidden)
    ):
        return NOT_FOUND
    if ROLES[case.role] < ROLES[case.rule.least]:
        return Expected(403, "FORBIDDEN")
    return NOT_FOUND if place else ALLOWED


def named(operation: str, rule: Rule) -> list[str]:
    """The ids that a request names."""
    places = re.findall(r"{(\w+)}", operation + json.dumps(rule.body))
    return [place for place in dict.fromkeys(places) if place not in MADE_UP]


@dataclass
class Matrix:
    """All requests there are to be made, of everybody about everything."""

    people: People
    callers: dict[str, list[tuple[str, Caller]]]
    mine: Ids
    foreign: list[Ids]

    def cases(self) -> Iterator[Case]:
        for operation, rule in TABLE.items():
            for role, caller in self.callers.get(rule.needs or rule.kind, ()):
                yield Case(operation, caller, role, self.mine)
                for place in named(operation, rule) if rule.kind != "self" else ():
                    for what, ids in zip(("unknown", "another's", "of another list"), self.foreign, strict=True):
                        if place in ids:
                            yield Case(operation, caller, role, {**self.mine, place: ids[place]}, f"{place} {what}")

    async def ask(self, case: Case) -> httpx2.Response:
        ids = {**case.ids, **{name: str(uuid4()) for name in MADE_UP}, "revision": "999999"}
        method, path = case.operation.split()
        body = None if case.rule.body is None else json.loads(_filled(json.dumps(case.rule.body), ids))
        return await self.people.send(case.caller, method, _filled(path, ids), body)

    async def judge(self, case: Case) -> str | None:
        """What is wrong with the answer, if anything."""
        answer = await self.ask(case)
        wanted = expected(case)
        if wanted == ALLOWED:
            right = answer.is_success if not case.rule.status else answer.status_code == case.rule.status
            return None if right else f"{case}: {answer.status_code} where it is allowed, {answer.text}"
        given = Expected(answer.status_code, answer.json().get("error", {}).get("code", ""))
        return None if given == wanted else f"{case}: {given} for {wanted}"


def _filled(text: str, ids: Ids) -> str:
    return re.sub(r"{(\w+)}", lambda found: ids[found[1]], text)


async def _callers(people: People, disabled_token: Caller) -> dict[str, list[tuple[str, Caller]]]:
    """Who asks, for each scope that an operation may need, or for each kind that needs none."""
    outsiders = [(name, people.caller(name)) for name in ("anonymous", "disabled", "former", "stranger")]
    outsiders.append(("disabled token", disabled_token))
    members = [(name, people.caller(name)) for name in ROLES]
    whole = ("token", await people.token("owner", *SCOPES))
    found = {"session": [*outsiders, members[0], whole]}
    found["admin"] = [
        *outsiders,
        members[0],
        ("token", await people.token("admin", *SCOPES)),
        ("admin", people.caller("admin")),
    ]
    for needs in (*SCOPES, "lists:read todos:read", "lists:write todos:write"):
        found[needs] = [*outsiders, *members]
        for name in ("owner", "viewer"):
            found[needs].append((name, await people.token(name, *needs.split())))
        for scope in needs.split():
            rest = await people.token("owner", *(other for other in SCOPES if other != scope))
            found[needs].append(("unscoped", rest))
    return found


@pytest.fixture
async def matrix(client: httpx2.AsyncClient, running: asgi.Running, monkeypatch: pytest.MonkeyPatch) -> Matrix:
    monkeypatch.setattr("doable.lists.operations.invitations.BUDGET", Budget(1_000_000, 60))
    people = await world.people(client, running)
    mine, another, others = await world.ids(people), await world.ids(people), await world.others(people)
    disabled_token = await people.token("disabled", *SCOPES)
    await world.disable(people, mine["list_id"])
    unknown = {place: str(uuid4()) for place in mine}
    unknown["token"] = "dbi_" + "A" * 43
    another = {place: another[place] for place in ("invitation_id", "delivery_id")}
    return Matrix(people, await _callers(people, disabled_token), mine, [unknown, others, another])


@pytest.mark.timeout(240)
async def test_everybody_gets_the_answer_that_the_table_says(matrix: Matrix) -> None:
    wrong, asked, people = [], 0, matrix.people
    refused = [case for case in matrix.cases() if expected(case) != ALLOWED]
    before = await _state(matrix)
    for case in refused:
        wrong.append(await matrix.judge(case))
        asked += 1
    assert await _state(matrix) == before, "what was refused has had an effect"
    for case in (case for case in matrix.cases() if expected(case) == ALLOWED and not case.rule.endless):
        ids = await world.ids(people) if case.rule.spends else matrix.mine
        wrong.append(await matrix.judge(case._replace(ids=ids)))
        asked += 1
    assert asked > 800
    assert not any(wrong), "\n".join(filter(None, wrong))


async def test_a_list_that_one_is_not_in_looks_like_one_that_does_not_exist(matrix: Matrix) -> None:
    unequal = []
    for case in matrix.cases():
        if case.role in {"stranger", "former"} and case.rule.kind == "list" and not case.replaced:
            unknown = {place: str(uuid4()) for place in matrix.mine}
            there, nowhere = await matrix.ask(case), await matrix.ask(case._replace(ids=unknown))
            if without_id(there) != without_id(nowhere):
                unequal.append(str(case))
    assert unequal == []


def test_every_operation_is_in_the_table() -> None:
    api = application.create_api(Settings(_env_file=None, metrics_token=SecretStr("x" * 32)))
    routes = {
        f"{method} {(route.path or '').removeprefix(PREFIX)}"
        for route in iter_route_contexts(api.routes)
        if (route.path or "").startswith(PREFIX)
        for method in route.methods or ()
    }
    assert {re.sub("{(new|trashed)_id}", "{todo_id}", name.partition("?")[0]) for name in TABLE} == routes


async def _state(matrix: Matrix) -> list[str]:
    """All that a refused write could have changed."""
    owner, mine = matrix.people.owner, matrix.mine
    paths = (
        "/lists",
        "/users/me",
        f"/lists/{mine['list_id']}/events",
        f"/lists/{mine['list_id']}/invitations",
        "/webhooks",
        f"/webhooks/{mine['webhook_id']}/deliveries",
    )
    return [(await owner.get(path)).text for path in paths]
