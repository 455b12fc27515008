"""Any sequence of logins, refreshes, replays, logouts and waiting, against a model of what has to happen."""

import asyncio
import datetime as dt
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from doable.app import create_app
from doable.core import clock
from doable.settings import Settings
from tests.support import asgi, configuration, people
from tests.support.people import API, PASSWORD

GRACE = dt.timedelta(seconds=10)
IDLE = dt.timedelta(days=30)
LONGEST = dt.timedelta(days=180)
STEPS = [dt.timedelta(seconds=s) for s in (0.1, 4, 11, 3600)] + [dt.timedelta(days=d) for d in (1, 20, 31)]


@dataclass
class Chain:
    """A session as a client and an honest server remember it."""

    began: dt.datetime
    used: dt.datetime
    rotated: dt.datetime
    refresh_tokens: list[str]
    access_tokens: list[tuple[str, dt.datetime]]
    seen_at: dict[int, dt.datetime] = field(default_factory=dict)
    grandparent_until: dt.datetime | None = None
    ended: bool = False

    @property
    def generation(self) -> int:
        return len(self.refresh_tokens) - 1

    def expired(self, now: dt.datetime) -> bool:
        return now >= min(self.used + IDLE, self.began + LONGEST)


class World:
    """The server, and the time in it."""

    def __init__(self, configuration: Settings) -> None:
        self.passed = dt.timedelta()
        self.runner = asyncio.Runner()
        self.app = asgi.Running(create_app(configuration))
        self.runner.run(self.app.__aenter__())
        self.client = httpx2.AsyncClient(transport=asgi.Transport(self.app), base_url="http://testserver")
        self.number = 0

    def close(self) -> None:
        self.runner.run(self.app.__aexit__())
        self.runner.close()

    def post(self, path: str, body: dict[str, str]) -> httpx2.Response:
        return self.runner.run(self.client.post(f"{API}{path}", json=body))

    def request(self, method: str, path: str, token: str, body: object = None) -> httpx2.Response:
        headers = {"Authorization": f"Bearer {token}"}
        return self.runner.run(self.client.request(method, f"{API}{path}", headers=headers, json=body))

    def register(self) -> str:
        self.number += 1
        name = f"person{self.number}"
        self.runner.run(people.register(self.client, name))
        return name

    def write_seen(self) -> None:
        self.runner.run(self.app.state["last_used"]._flush_seen())


class Machine(RuleBasedStateMachine):
    world: World

    def __init__(self) -> None:
        super().__init__()
        self.name = self.world.register()
        self.chains: list[Chain] = []
        self.password = 0

    @property
    def now(self) -> dt.datetime:
        return clock.now()

    @rule()
    def login(self) -> None:
        body = {"login": self.name, "password": self._password()}
        answer = self.world.post("/auth/login", body)
        assert answer.status_code == 200, answer.text
        now = self.now
        pair = answer.json()
        self.chains.append(Chain(now, now, now, [pair["refresh_token"]], [(pair["access_token"], now)]))

    @precondition(lambda self: self.chains)
    @rule(data=st.data())
    def refresh_newest(self, data: st.DataObject) -> None:
        chain = data.draw(st.sampled_from(self.chains))
        answer = self.world.post("/auth/refresh", {"refresh_token": chain.refresh_tokens[-1]})
        now = self.now
        if chain.ended or chain.expired(now):
            assert answer.status_code == 401
            return
        assert answer.status_code == 200, answer.text
        self._advance(chain, answer.json(), now)

    @precondition(lambda self: any(chain.generation for chain in self.chains))
    @rule(data=st.data())
    def refresh_parent(self, data: st.DataObject) -> None:
        chain = data.draw(st.sampled_from([chain for chain in self.chains if chain.generation]))
        answer = self.world.post("/auth/refresh", {"refresh_token": chain.refresh_tokens[-2]})
        now = self.now
        if chain.ended or chain.expired(now):
            assert answer.status_code == 401
        elif chain.generation not in chain.seen_at or now <= chain.seen_at[chain.generation] + GRACE:
            assert answer.status_code == 200, answer.text
            assert answer.json()["refresh_token"] == chain.refresh_tokens[-1]
        else:
            assert answer.json()["error"]["code"] == "SESSION_ENDED"
            chain.ended = True

    @precondition(lambda self: any(chain.generation > 1 for chain in self.chains))
    @rule(data=st.data())
    def replay_older(self, data: st.DataObject) -> None:
        chain = data.draw(st.sampled_from([chain for chain in self.chains if chain.generation > 1]))
        token = data.draw(st.sampled_from(chain.refresh_tokens[:-2]))
        answer = self.world.post("/auth/refresh", {"refresh_token": token})
        assert answer.status_code == 401
        until = chain.grandparent_until if token == chain.refresh_tokens[-3] else None
        tolerated = until is not None and self.now <= until
        if not chain.expired(self.now) and not tolerated:
            chain.ended = True

    @precondition(lambda self: self.chains)
    @rule(data=st.data())
    def use_access_token(self, data: st.DataObject) -> None:
        chain = data.draw(st.sampled_from(self.chains))
        generation = data.draw(st.integers(0, len(chain.access_tokens) - 1))
        token, issued = chain.access_tokens[generation]
        now = self.now
        answer = self.world.request("GET", "/users/me", token)
        self.world.write_seen()
        alive = not chain.ended and not chain.expired(now) and now < issued + dt.timedelta(minutes=29)
        dead = chain.ended or chain.expired(self.now) or now > issued + dt.timedelta(minutes=30)
        assert not alive or answer.status_code == 200, answer.text
        assert not dead or answer.status_code == 401
        if answer.status_code == 200:
            chain.seen_at.setdefault(generation, now)

    @precondition(lambda self: self.chains)
    @rule(data=st.data())
    def logout(self, data: st.DataObject) -> None:
        chain = data.draw(st.sampled_from(self.chains))
        token = data.draw(st.sampled_from(chain.refresh_tokens))
        assert self.world.post("/auth/logout", {"refresh_token": token}).status_code == 204
        chain.ended = True

    @rule()
    def change_password(self) -> None:
        body = {"login": self.name, "password": self._password()}
        pair = self.world.post("/auth/login", body).json()
        current = self._password()
        self.password += 1
        new = self._password()
        form = {"current_password": current, "password": new, "confirm_password": new}
        assert self.world.request("PUT", "/users/me/password", pair["access_token"], form).status_code == 204
        for chain in self.chains:
            chain.ended = True
        now = self.now
        self.chains.append(Chain(now, now, now, [pair["refresh_token"]], [(pair["access_token"], now)]))

    @rule(step=st.sampled_from(STEPS))
    def wait(self, step: dt.timedelta) -> None:
        self.world.passed += step

    @invariant()
    def ended_is_ended(self) -> None:
        for chain in self.chains[-3:]:
            if chain.ended:
                answer = self.world.post("/auth/refresh", {"refresh_token": chain.refresh_tokens[-1]})
                assert answer.status_code == 401

    def _advance(self, chain: Chain, pair: dict[str, str], now: dt.datetime) -> None:
        assert pair["refresh_token"] not in chain.refresh_tokens
        chain.grandparent_until = chain.seen_at.get(chain.generation, now) + GRACE
        chain.refresh_tokens.append(pair["refresh_token"])
        chain.access_tokens.append((pair["access_token"], now))
        chain.used = chain.rotated = now

    def _password(self) -> str:
        return PASSWORD if not self.password else f"{PASSWORD} {self.password}"


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_no_sequence_leads_elsewhere(database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(configuration.make_settings(database_url, tmp_path / "data"))
    true_now = clock.now
    monkeypatch.setattr(clock, "now", lambda: true_now() + world.passed)
    machine: Any = type("InWorld", (Machine,), {"world": world})
    try:
        run_state_machine_as_test(
            machine,
            settings=settings(
                max_examples=25,
                stateful_step_count=25,
                deadline=None,
                suppress_health_check=list(HealthCheck),
            ),
        )
    finally:
        world.close()
