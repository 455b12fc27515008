"""Settings: lists, refusals, and what must not be shown."""

from typing import Any

import pytest
from pydantic import SecretStr, ValidationError

from doable.settings import Settings


@pytest.mark.parametrize(
    "text", ["https://a.example,http://localhost:3000", '["https://a.example", "http://localhost:3000"]']
)
def test_a_list_is_json_or_separated_by_commas(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("CORS_ORIGINS", text)
    assert Settings(_env_file=None).cors_origins == ("https://a.example", "http://localhost:3000")


@pytest.mark.parametrize(
    "origin",
    ["*", "null", "a.example", "https://a.example/", "https://a.example/x", "https://a.example?x", "https://a.example#x",
     "https://user@a.example", "https://a example", "https://a.example:443", "http://a.example:80", "ftp://a.example"],
)  # fmt: skip
def test_what_no_browser_sends_is_no_origin(origin: str) -> None:
    with pytest.raises(ValidationError, match="not an origin"):
        Settings(_env_file=None, cors_origins=(origin,))


def test_a_port_that_is_not_the_usual_one_belongs_to_an_origin() -> None:
    origins = ("http://a.example:443", "https://a.example:80", "http://[::1]:3000")
    assert Settings(_env_file=None, cors_origins=origins).cors_origins == origins


@pytest.mark.parametrize("key", ["", "short", "x" * 31, "a" * 64, "changeme" * 2])
def test_a_key_that_can_be_guessed_is_refused_without_being_shown(key: str) -> None:
    with pytest.raises(ValidationError) as refused:
        Settings(_env_file=None, secret_key=SecretStr(key))
    assert not key or key not in str(refused.value)


def test_secrets_are_in_no_representation() -> None:
    values: dict[str, Any] = {
        "secret_key": "0123456789abcdef-canary-0123456789",
        "database_url": "postgresql://u:canary@h/x",
        "redis_url": "redis://:canary@h",
        "smtp_url": "smtp://u:canary@h",
        "metrics_token": "canary",
    }
    settings = Settings(_env_file=None, **values)
    assert "canary" not in repr(settings)
    assert "canary" not in str(settings)


def test_the_default_answers_to_loopback_names_and_the_public_one() -> None:
    hosts = Settings(_env_file=None, public_url="https://todo.example.com/x").hosts
    assert set(hosts) == {"localhost", "127.0.0.1", "[::1]", "todo.example.com"}
