"""Settings that cannot work: one clear line for each, exit code 78, nothing else."""

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import Doable

SECRET = "Xq7_hunter2"
MISCONFIGURED = 78


def assert_refused(result: subprocess.CompletedProcess[str], *lines: str) -> None:
    told = result.stderr.splitlines()
    assert len(told) == len(lines), result.stderr
    for line, expected in zip(told, lines, strict=True):
        assert line.startswith(f"Error: {expected}"), line
    assert result.stdout == ""
    assert SECRET not in result.stderr
    assert result.returncode == MISCONFIGURED


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("SECRET_KEY", SECRET, "SECRET_KEY must have at least 32 bytes"),
        ("SECRET_KEY", "a" * 64, "SECRET_KEY is too regular"),
        ("SECRET_KEY_PREVIOUS", SECRET, "SECRET_KEY_PREVIOUS must have at least 32 bytes"),
        ("ALGORITHM", "none", "ALGORITHM should be 'HS256'"),
        ("CORS_ORIGINS", "*", "CORS_ORIGINS '*' is not an origin"),
        ("CORS_ORIGINS", '["https://app.example.com","*"]', "CORS_ORIGINS '*' is not an origin"),
        ("CORS_ORIGINS", '["https://app.example.com"', "CORS_ORIGINS "),
        ("TRUSTED_PROXIES", "everybody", "TRUSTED_PROXIES 'everybody' does not appear to be an IPv4 or IPv6 network"),
        ("PUBLIC_URL", "todo.example.com", "PUBLIC_URL should match pattern"),
        ("DATABASE_POOL_SIZE", "many", "DATABASE_POOL_SIZE should be a valid integer"),
        ("DATABASE_POOL_SIZE", "1", "DATABASE_POOL_SIZE should be greater than or equal to 2"),
        ("REGISTRATION", "perhaps", "REGISTRATION should be 'open', 'invited' or 'closed'"),
        ("DATABASE_URL", f"mysql://root:{SECRET}@db/doable", "DATABASE_URL has the unknown scheme 'mysql'"),
        ("DATABASE_URL", f"postgresql://root:{SECRET}@db:port/doable", "DATABASE_URL is not a URL such as"),
        ("DATABASE_URL", f"postgresql://root:x@{SECRET}@db/doable", "DATABASE_URL is not a URL such as"),
        ("DATABASE_URL", "sqlite://", "DATABASE_URL has to name a file"),
        ("DATABASE_URL", "sqlite:///:memory:", "DATABASE_URL has to name a file"),
        ("REDIS_URL", f"http://:{SECRET}@cache", "REDIS_URL is not a URL such as"),
        ("REDIS_URL", f"redis://:{SECRET}@cache:port/0", "REDIS_URL is not a URL such as"),
    ],
)
def test_a_bad_setting_is_named_and_its_value_is_not_repeated(
    doable_here: Doable, name: str, value: str, told: str
) -> None:
    assert_refused(doable_here("migrate", **{name: value}), told)


def test_every_problem_is_told_at_once(doable: Doable) -> None:
    result = doable("serve", SECRET_KEY=SECRET, LOG_FORMAT="xml", EVENTS_RETENTION_DAYS="0")
    assert_refused(
        result,
        "SECRET_KEY must",
        "LOG_FORMAT should be 'auto', 'json' or 'console'",
        "EVENTS_RETENTION_DAYS should be greater than or equal to 1",
    )


def test_the_file_env_is_read_and_refused_like_the_environment(doable_here: Doable, folder: Path) -> None:
    (folder / ".env").write_text(f"SECRET_KEY={SECRET}\n")
    assert_refused(doable_here("migrate"), "SECRET_KEY must")


def test_a_file_env_that_is_no_text_is_refused(doable_here: Doable, folder: Path) -> None:
    (folder / ".env").write_bytes(b"APP_NAME=Aufgaben f\xfcr alle\n")
    assert_refused(doable_here("migrate"), "The file .env cannot be read")


@pytest.mark.parametrize("command", [("serve",), ("migrate",), ("user", "list"), ("routes",), ("openapi",)])
def test_every_command_that_reads_settings_refuses_them(doable_here: Doable, command: tuple[str, ...]) -> None:
    assert_refused(doable_here(*command, SECRET_KEY=SECRET), "SECRET_KEY must")


def test_several_workers_need_postgresql(doable_here: Doable) -> None:
    assert_refused(doable_here("serve", "--workers", "2"), "--workers needs PostgreSQL")


def test_several_workers_cannot_share_the_port_of_the_metrics(doable_here: Doable) -> None:
    result = doable_here("serve", "--workers", "2", METRICS_PORT="9000", DATABASE_URL="postgresql://nowhere/doable")
    assert_refused(result, "METRICS_PORT is one port")
    assert "METRICS_TOKEN" in result.stderr


@pytest.mark.parametrize(
    ("package", "settings", "extra"),
    [
        ("asyncpg", {"DATABASE_URL": f"postgresql://root:{SECRET}@db/doable"}, "doable[postgres]"),
        ("redis", {"REDIS_URL": f"redis://:{SECRET}@cache"}, "doable[redis]"),
    ],
)
def test_a_package_that_a_setting_needs_is_named(
    tmp_path: Path, package: str, settings: dict[str, str], extra: str
) -> None:
    code = f"import sys; sys.modules[{package!r}] = None; from doable.cli import main; main()"
    result = subprocess.run(
        [sys.executable, "-c", code, "serve"],
        cwd=tmp_path,
        env={"PATH": os.environ["PATH"], **settings},
        capture_output=True,
        text=True,
        check=False,
    )
    assert_refused(result, next(iter(settings)))
    assert f'pip install "{extra}"' in result.stderr


def test_the_data_folder_is_made_and_closed_to_others(doable_here: Doable, folder: Path) -> None:
    inner = folder / "srv" / "doable"
    assert doable_here("migrate", DATA_DIR=str(inner)).returncode == 0
    assert stat.S_IMODE(inner.stat().st_mode) == 0o700
    assert (inner / "doable.db").exists()


def test_a_data_folder_that_is_a_file_is_refused(doable_here: Doable, folder: Path) -> None:
    (folder / "data").touch()
    assert_refused(doable_here("migrate"), "DATA_DIR: data cannot be written to: it is not a folder")


def test_a_data_folder_that_cannot_be_made_is_refused(doable_here: Doable) -> None:
    assert_refused(doable_here("migrate", DATA_DIR="/proc/doable"), "DATA_DIR: /proc/doable cannot be written to: ")


def test_a_data_folder_that_cannot_be_written_to_is_refused(doable_here: Doable) -> None:
    assert_refused(doable_here("migrate", DATA_DIR="/proc"), "DATA_DIR: /proc cannot be written to")
