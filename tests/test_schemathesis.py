"""Requests that Schemathesis makes from the document: alone, and one after the other with what the answers gave.

They are the same each time, and sent by two people: tests/support/strangers.py has what the second may not.
"""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from tests.support import configuration, servers, strangers
from tests.support.people import PASSWORD
from tests.support.servers import Server

ROOT = Path(__file__).parent.parent
SECONDS = 25
"""For the whole of a short run; each example that is asked for beyond it gives more."""
LEFT_OUT = {
    "logout": "ends the session that sends the requests",
    "end_session": "the same",
    "stream_events": "never ends",
}
REFUSED_BY_RULES = "positive_data_acceptance"
"""The one check that cannot hold: a rule such as "an assignee is a member" is in no schema."""


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Server]:
    settings = configuration.make_settings(f"sqlite:///{tmp_path / 'doable.db'}", tmp_path / "data", log_format="json")
    with servers.serve(settings, tmp_path) as server:
        yield server


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_no_request_of_the_document_is_answered_otherwise_than_it_says(
    served: Server, pytestconfig: pytest.Config
) -> None:
    ended = _run(served, _login(served, "ana"), _login(served, "mira"), pytestconfig.getoption("--examples"))
    assert ended.returncode == 0, ended.stdout
    assert "Stateful (in" in ended.stdout
    assert "Traceback" not in served.log
    assert '"level":"error"' not in served.log


@pytest.mark.slow
def test_a_stranger_who_is_let_in_is_noticed(served: Server) -> None:
    """Planted: the stranger has the same rights, because she is the same person."""
    token = _login(served, "ana")
    ended = _run(served, token, token, 1, "--include-path-regex", "/lists", "--max-failures", "1")
    assert ended.returncode == 1, ended.stdout
    assert "a stranger was answered 200" in ended.stdout


def _run(served: Server, token: str, stranger: str, examples: int, *more: str) -> subprocess.CompletedProcess[str]:
    left_out = [argument for name in LEFT_OUT for argument in ("--exclude-operation-id", name)]
    amount = ("--max-examples", str(examples), "--max-time", str(SECONDS + 5 * (examples - 1)))
    same = ("--seed", "7", "--generation-deterministic", "--no-shrink", "--no-color", "--warnings", "off")
    checks = ("--checks", "all", "--exclude-checks", REFUSED_BY_RULES, "--request-timeout", "30")
    identity = ("--header", f"Authorization: Bearer {token}")
    url = f"{served.base_url}/openapi.json"
    return subprocess.run(
        [Path(sys.executable).parent / "st", "run", url, *identity, *checks, *same, *amount, *left_out, *more],
        cwd=served.log_path.parent,
        env={
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "SCHEMATHESIS_HOOKS": strangers.__name__,
            strangers.STRANGER: stranger,
        },
        capture_output=True,
        text=True,
        check=False,
    )


def _login(served: Server, username: str) -> str:
    form = {
        "username": username,
        "email": f"{username}@example.com",
        "password": PASSWORD,
        "confirm_password": PASSWORD,
    }
    with httpx2.Client(base_url=f"{served.base_url}/api/v1", trust_env=False, timeout=30) as client:
        client.post("/users", json=form).raise_for_status()
        login = client.post("/auth/login", json={"login": username, "password": PASSWORD}).raise_for_status()
    token: str = login.json()["access_token"]
    return token
