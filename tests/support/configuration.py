"""Settings for tests, in the process and as the environment of a started server."""

import functools
import json
import os
from pathlib import Path
from typing import Any

import httpcore2
from pydantic import SecretStr

from doable.core import passwords, telemetry
from doable.settings import LOOPBACK_HOSTS, Settings

SECRET_KEY = "0123456789abcdef-fixed-key-of-the-tests"
TRUE_COST = passwords.COST
CHOSEN: dict[str, Any] = {}
"""Settings that the command line of pytest has chosen for all tests."""


def make_settings(database_url: str, data_dir: Path, **changes: object) -> Settings:
    """Settings for tests; nothing comes from the environment or a `.env` file."""
    values: dict[str, Any] = {
        "database_url": database_url,
        "data_dir": data_dir,
        "secret_key": SECRET_KEY,
        "rate_limit_per_minute": 1_000_000,
        "allowed_hosts": (*LOOPBACK_HOSTS, "testserver"),
        "embedded_worker": False,  # a test says when its jobs are done: `running.state["worker"].drain()`
        **CHOSEN,
        **changes,
    }
    return Settings(_env_file=None, **values)


def environment(settings: Settings) -> dict[str, str]:
    """The environment that gives a started process these settings."""
    values = {name: getattr(settings, name) for name in settings.model_fields_set}
    return {name.upper(): _text(value) for name, value in values.items() if value is not None}


def forget(environ: dict[str, str] | os._Environ[str] = os.environ) -> None:
    """Remove every setting from the environment: a developer's own must not decide a test."""
    for name in [name for name in environ if name.lower() in Settings.model_fields]:
        del environ[name]


def log_plainly() -> None:
    """Log as a server does. Without it structlog draws every traceback with all its values, which takes seconds."""
    telemetry.configure(Settings(_env_file=None, log_format="json"))


def hash_cheaply() -> None:
    """Hash passwords by the same Argon2id with the least work, in this process: a person costs 40 ms otherwise."""
    passwords.COST = passwords.Cost(memory_kib=8, passes=1, lanes=1)


def read_certificates_once() -> None:
    """A client costs 30 ms otherwise, in this process, though hardly one of them speaks TLS."""
    httpcore2.default_ssl_context = functools.cache(httpcore2.default_ssl_context)


def _text(value: object) -> str:
    if isinstance(value, SecretStr):
        return value.get_secret_value()
    if isinstance(value, tuple):
        return json.dumps(value)
    return str(value)
