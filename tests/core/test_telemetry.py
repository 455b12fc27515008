import asyncio
import io
import json
import logging
import os
import re
import sys
import threading
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import structlog

from doable.core import logs, telemetry
from tests.support import edged

JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl"
SOURCE = Path(__file__).parents[2] / "src"
PREFIXES = sorted(
    {found for file in SOURCE.rglob("*.py") for found in re.findall(r'"(db[a-z]_|whsec_)"', file.read_text())}
)
"""What every secret that we make begins with."""


@pytest.fixture
def stream(tmp_path: Path) -> Iterator[io.StringIO]:
    with edged.logged(edged.settings(tmp_path)) as stream:
        yield stream


@pytest.fixture
def console(tmp_path: Path) -> Iterator[io.StringIO]:
    with edged.logged(edged.settings(tmp_path, log_format="console")) as stream:
        yield stream


def written(stream: io.StringIO) -> str:
    telemetry.flush()
    return stream.getvalue()


def records(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in written(stream).splitlines()]


def test_structlog_and_the_standard_library_write_the_same_form(stream: io.StringIO) -> None:
    structlog.get_logger("doable.todos").info("done", todo="t-1", count=2)
    logging.getLogger("sqlalchemy.pool").warning("pool of %d is full", 5)
    logging.getLogger("uvicorn.error").info("Started")

    first, second, third = records(stream)
    assert first.pop("timestamp").endswith("Z")
    assert first == {"event": "done", "level": "info", "logger": "doable.todos", "todo": "t-1", "count": 2}
    assert (second["event"], second["level"], second["logger"]) == ("pool of 5 is full", "warning", "sqlalchemy.pool")
    assert third["event"] == "Started"


def test_libraries_are_heard_from_warnings_upwards_and_statements_never(stream: io.StringIO, tmp_path: Path) -> None:
    telemetry.configure(edged.settings(tmp_path, debug=True), stream)
    logging.getLogger("sqlalchemy.engine").info("SELECT password_hash")
    logging.getLogger("asyncio").debug("noise")
    logging.getLogger("uvicorn.access").warning("GET /?token=canary")
    structlog.get_logger("doable.x").debug("heard")

    assert [record["event"] for record in records(stream)] == ["heard"]


def test_debug_messages_are_silent_by_default(stream: io.StringIO) -> None:
    structlog.get_logger("doable.x").debug("noise")

    assert written(stream) == ""


def test_an_exception_is_one_line_with_its_trace(stream: io.StringIO) -> None:
    for log in (structlog.get_logger("doable.x"), logging.getLogger("doable.y")):
        try:
            int("canary\nforged: line")
        except ValueError:
            log.exception("failed")

    assert len(records(stream)) == 2
    assert all("Traceback" in record["exception"] and "ValueError" in record["exception"] for record in records(stream))


def test_python_warnings_come_out_as_records(stream: io.StringIO) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        logging.captureWarnings(capture=False)
        logging.captureWarnings(capture=True)
        warnings.warn("mind the gap", UserWarning, stacklevel=1)

    assert "mind the gap" in records(stream)[0]["event"]


@pytest.mark.parametrize(
    "text",
    ["a\r\nb", "\x1b[31m", "\u202egpj.exe", "\u2066", "\u2028", "\x7f", "\x9b", "\ud800", "ž", "\U0001f600", "\0"],
)
def test_whatever_the_text_a_record_is_one_line_of_printable_ascii(stream: io.StringIO, text: str) -> None:
    structlog.get_logger("doable.x").info("seen " + text, text=text, inner={"text": text})

    assert re.fullmatch(r"[\x20-\x7e]+\n", written(stream))
    assert records(stream)[0]["text"] == text


def test_any_value_can_be_logged(stream: io.StringIO) -> None:
    structlog.get_logger("doable.x").info("odd", huge=10**40, kind=object, inner={1: Path("x")}, raw=b"x")

    assert records(stream)[0]["huge"] == 10**40


@pytest.mark.parametrize("text", ["%s %(password)s %n %100000d", "{} {0.__class__} {text!r}", "$text ${text}"])
def test_what_looks_like_a_format_is_a_text(stream: io.StringIO, text: str) -> None:
    structlog.get_logger("doable.x").info("seen", text=text)
    structlog.get_logger("doable.x").info(text)
    logging.getLogger("somebody").warning("saw %s", text)

    first, second, third = records(stream)
    assert (first["text"], second["event"], third["event"]) == (text, text, f"saw {text}")


@pytest.mark.parametrize("text", ["a\r\nb", "\x1b[31m", "\u202egpj.exe", "\u2028", "\x7f", "\x9b"])
def test_on_the_console_nothing_moves_the_cursor_either(console: io.StringIO, text: str) -> None:
    log = structlog.get_logger("doable.x")
    log.warning("seen", text=text, inner={"text": text})
    log.error(text)
    log.error("failed", exc_info=ValueError(text))

    lines = written(console).split("\n")
    assert "seen" in lines[0]
    assert "failed" in lines[2]
    assert all(line.startswith("    ") or not line for line in lines[3:])
    assert all(line.isprintable() for line in lines)


@pytest.mark.parametrize(
    "fields",
    [
        {"password": "canary"},
        {"current_password": "canary"},
        {"SECRET_KEY": "canary"},
        {"authorization": "Bearer canary"},
        {"headers": {"Authorization": "canary", "cookie": "canary"}},
        {"items": [{"refresh_token": "canary"}]},
        {"text": "sent Bearer canary-1 to"},
        {"text": "dbl_canary"},
        {"url": "postgresql://user:canary@db/x"},
        {"url": "redis://:canary@cache"},
    ],
)
def test_a_secret_that_is_logged_by_mistake_is_not_written(stream: io.StringIO, fields: dict[str, object]) -> None:
    structlog.get_logger("doable.x").info("oops", **fields)

    assert "canary" not in written(stream)
    assert logs.REDACTED in written(stream)


@pytest.mark.parametrize("text", [*PREFIXES, "whsec_a+b/", "redis://u:can@", "Bearer "])
def test_each_kind_of_secret_is_known_by_its_form(stream: io.StringIO, text: str) -> None:
    structlog.get_logger("doable.x").error(f"presented {text}can-0_ary@h here")
    assert "can" not in written(stream).replace("scan", "")
    assert "ary" not in written(stream)


def test_the_kinds_of_secrets_are_those_of_the_source() -> None:
    assert {"dbi_", "dbk_", "dbl_", "dbm_", "dbr_", "whsec_"} <= set(PREFIXES)


def test_secrets_are_taken_out_of_messages_and_traces_too(stream: io.StringIO) -> None:
    logging.getLogger("somebody").warning("connect to %s failed", "postgresql://user:canary@db/x")
    structlog.get_logger("doable.x").error(f"bad {JWT}", exc_info=ValueError("Authorization: Bearer " + JWT))

    assert "canary" not in written(stream)
    assert "eyJ" not in written(stream).replace("JWT", "")
    assert "postgresql://[redacted]@db/x" in written(stream)


async def test_access_lines_wait_a_moment_and_keep_their_place(stream: io.StringIO) -> None:
    telemetry.access({"route": "/a"})
    at_once = stream.getvalue()
    structlog.get_logger("doable.x").info("later")
    telemetry.access({"route": "/b"})
    async with asyncio.timeout(5):
        while "/b" not in stream.getvalue():  # noqa: ASYNC110 — nobody is told of a flush
            await asyncio.sleep(0.02)

    assert at_once == ""
    assert [record.get("route", record["event"]) for record in records(stream)] == ["/a", "later", "/b"]


def test_lines_of_an_event_loop_that_ended_are_not_stuck(stream: io.StringIO) -> None:
    async def serve(route: str, pause: float) -> None:
        telemetry.access({"route": route})
        await asyncio.sleep(pause)

    asyncio.run(serve("/a", 0))
    asyncio.run(serve("/b", logs.FLUSH_SECONDS * 3))

    assert [record["route"] for record in records(stream)] == ["/a", "/b"]


def test_threads_may_log_at_once(stream: io.StringIO) -> None:
    log = structlog.get_logger("doable.x")
    threads = [threading.Thread(target=lambda: [log.info("x", text="y" * 200) for _ in range(50)]) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(records(stream)) == 400


async def test_a_line_that_waits_is_not_lost_to_a_thread_that_logs(stream: io.StringIO) -> None:
    log = structlog.get_logger("doable.x")
    threads = [threading.Thread(target=lambda: [log.info("x") for _ in range(500)]) for _ in range(4)]
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        for thread in threads:
            thread.start()
        for number in range(10_000):
            telemetry.access({"route": f"/{number}"})
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(interval)
    telemetry.flush()

    found = records(stream)
    assert [record["route"] for record in found if "route" in record] == [f"/{number}" for number in range(10_000)]
    assert len(found) == 12_000


@pytest.mark.parametrize("failure", [OSError("disk full"), ValueError("closed")])
def test_a_log_that_cannot_be_written_stops_nobody(
    stream: io.StringIO, failure: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    def write(_: str) -> int:
        raise failure

    monkeypatch.setattr(stream, "write", write)

    structlog.get_logger("doable.x").error("lost")

    assert written(stream) == ""


class Pool(NamedTuple):
    size: int
    in_use: int


def test_the_pool_is_asked_when_the_metrics_are_read() -> None:
    metrics = telemetry.Metrics()
    in_use = 1
    metrics.watch_pool(lambda: Pool(20, in_use))
    in_use = 7

    assert 'doable_database_pool{connections="in_use"} 7.0' in metrics.render().decode()
    assert 'doable_database_pool{connections="size"} 20.0' in metrics.render().decode()


async def test_a_blocked_event_loop_shows_in_the_metrics(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(telemetry, "LAG_INTERVAL", 0.01)
    metrics = telemetry.Metrics()
    sampler = telemetry.LagSampler(metrics)
    await sampler.start()
    await asyncio.sleep(0.05)
    time.sleep(0.3)  # noqa: ASYNC251 — this is the block to be seen
    await asyncio.sleep(0.05)
    await sampler.close()

    late = sample(metrics, "_count") - sample(metrics, "_bucket", le="0.1")
    assert late >= 1


def sample(metrics: telemetry.Metrics, suffix: str, **labels: str) -> float:
    value = metrics.registry.get_sample_value(f"doable_event_loop_lag_seconds{suffix}", labels)
    assert value is not None
    return value


def test_a_pipe_that_nobody_empties_costs_the_log_and_not_the_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs, "BACKLOG", 4)
    monkeypatch.setattr(logs, "LAST_SECONDS", 0.2)
    reading, writing = os.pipe()
    output = logs.Output()
    with os.fdopen(reading) as pipe, os.fdopen(writing, "w") as output.stream:
        for n in range(200):
            output.write(f"{n} {'x' * 10_000}")  # far more than a pipe holds
        output.flush()
        first = pipe.readline()
        while "lines lost" not in (line := pipe.readline()):
            output.write("again")
        assert first.startswith("0 x")
        assert json.loads(line)["count"] > 100
        while not pipe.readline().startswith("last"):
            output.write("last")
        output.flush()
