"""Hostile values in every field, parameter, path and header of every operation: 4xx in our shape, never a 5xx.

What is accepted gets as far as the database, because ids in paths and bodies are those of things that are there.
"""

import io
import json
from collections.abc import Iterator
from copy import deepcopy
from typing import Any

import pytest

from doable.app import create_api
from doable.settings import Settings
from tests.support import edged
from tests.support.people import PASSWORD, Person

SOME_ID = "0190f5a0-7c3e-7b1a-9d2c-5f6e7a8b9c0d"
LONGEST_ERROR = 2_000
# As JSON text, since some of it is no JSON.
VALUES = [
    "null", "true", "false", "0", "-1", "1.5", "1e400", "-1e400", "NaN", "Infinity", "-Infinity", str(2**31),
    str(2**63 - 1), str(2**63), str(-(2**63) - 1), "9" * 5_000, "1" + "0" * 400 + ".5", "[]", "{}", "[[]]",
    '[{"a": [null]}]', "[" * 40 + "]" * 40, '{"a": 1, "a": 2}', '""', '" "', r'"\u0000"', '"a\0b"', r'"\ud800"',
    r'"\udc00\ud800"', r'"a\u0007b"', r'"\ufffe"', r'"\u202eabc"', r'"\u200b"', '"\N{COMBINING ACUTE ACCENT}"',
    '"é"', '"e\u0301"', '"😀"', '"' + "x" * 70_000 + '"', '"' + "😀" * 5_000 + '"', '"0001-01-01T00:00:00+23:59"',
    '"9999-12-31T23:59:59-23:59"', '"2026-11-22T08:41:60Z"', '"2026-02-30"', '"253402300800"',
    '"00000000-0000-0000-0000-000000000000"', '"' + SOME_ID + '"', '"{' + SOME_ID + '}"', r'"a@b.co\n"',
    '"a@b"', '"%00"', "\"'; DROP TABLE users; --\"", '"$ref"', '"../../etc/passwd"', r'"a\r\nX-Evil: 1"', "'x'",
    "undefined", "",
]  # fmt: skip
TEXTS = [
    "", " ", "null", "-1", "0", "1.5", "1e3", str(2**31), str(2**63), str(-(2**63)), "9" * 3_000, "NaN", "true",
    "%00", "%ff", "%", "%zz", "%ed%a0%80", "%0d%0aX-Evil:1", "%F0%9F%98%80", "..%2f..", "%2e%2e", "'--", "%25",
    SOME_ID, SOME_ID.upper(), SOME_ID + "%0A", "00000000-0000-0000-0000-000000000000", ",", ",,", "1,2,x",
    "x" * 3_000, "-", "--id", "id;drop",
]  # fmt: skip
# Of each kind one, for the places inside of values, of which there are many.
INNER = [
    "null", "true", "-1", "1e400", str(2**63), "[]", "{}", '""', r'"\u0000"', r'"\ud800"', '"😀"',
    '"' + "x" * 5_000 + '"', '"9999-12-31T23:59:59-23:59"', '"0001-01-01"', '"23:59:60"', '"Europe/../../etc/passwd"',
    '"' + SOME_ID + '"', '"FREQ=SECONDLY;COUNT=999999999"', "\"'; DROP TABLE users; --\"",
]  # fmt: skip
HEADERS = [
    b"", b" ", b"*", b'"', b'W/"x"', b'"a"', b'"a","b"', b'"aaaaaaaa.1"', b'"aaaaaaaa.' + b"9" * 400 + b'"',
    b"\xff\xfe", b"\xc3\xa9", b"x" * 4_000, b",".join([b'"a"'] * 500), b"9" * 300, b"-1", b"aaaaaaaa:-1",
    b"aaaaaaaa:" + b"9" * 300, b"%00", b"() { :;}; echo", b"\x1b[31m", b"../../x", b"bytes=0-,0-,0-", b"Bearer",
    b"Bearer a.b.c", b"en;q=nan",
]  # fmt: skip
NAMES = [
    "Accept", "Accept-Encoding", "Accept-Language", "Access-Control-Request-Method", "Authorization",
    "Content-Encoding", "Content-Type", "Cookie", "Forwarded", "Idempotency-Key", "If-Match", "If-Modified-Since",
    "If-None-Match", "Last-Event-ID", "Origin", "Range", "Referer", "User-Agent", "X-Forwarded-For",
    "X-Forwarded-Host", "X-Request-ID",
]  # fmt: skip


@pytest.fixture
def document(settings: Settings) -> dict[str, Any]:
    made: dict[str, Any] = create_api(settings).openapi()
    return made


@pytest.fixture
def log(settings: Settings) -> Iterator[io.StringIO]:
    """What the server logs; in the end nothing of it is an error or has a trace."""
    with edged.logged(settings.model_copy(update={"log_format": "json"})) as stream:
        yield stream
    broken = [line for line in stream.getvalue().splitlines() if '"level":"error"' in line or "Traceback" in line]
    assert not broken, broken[0][:3000]


@pytest.mark.slow
@pytest.mark.timeout(600)
async def test_no_value_of_any_field_ends_in_a_5xx(ana: Person, document: dict[str, Any], log: io.StringIO) -> None:
    sent = 0
    for method, path, operation in _operations(document):
        known = await _Known.of(ana)
        for text in _bodies(document, operation, known):
            await _send(ana, method, path.format_map(known), content=text.encode("utf-8", "surrogatepass"))
            sent += 1
    assert sent > 1_000
    assert (await ana.client.get("/health/ready")).json()["status"] == "ok"
    assert '"event":"request"' in log.getvalue()


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.usefixtures("log")
async def test_no_value_of_any_parameter_ends_in_a_5xx(ana: Person, document: dict[str, Any]) -> None:
    known = await _Known.of(ana)
    sent = 0
    for method, path, operation in _operations(document):
        ids = _Known() if method == "DELETE" or path.endswith("/stream") else known
        for parameter in operation.get("parameters", ()):
            for text in TEXTS:
                name = parameter["name"]
                if parameter["in"] == "path":
                    target = path.format_map(_Known({**ids, name: text or "%20"}))
                elif parameter["in"] == "query":
                    target = f"{path.format_map(ids)}?{name}={text}"
                else:
                    continue
                await _send(ana, method, target)
                sent += 1
    assert sent > 500


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.usefixtures("log")
async def test_no_value_of_any_header_ends_in_a_5xx(ana: Person, document: dict[str, Any]) -> None:
    """Those that the document declares, everywhere; all others at one route that is read and one that writes."""
    known = await _Known.of(ana)
    targets = {("GET", f"/api/v1/todos/{known['todo_id']}"): NAMES, ("POST", "/api/v1/todos"): NAMES}
    for method, path, operation in _operations(document):
        ids = _Known() if method == "DELETE" or path.endswith("/stream") else known
        declared = [one["name"] for one in operation.get("parameters", ()) if one["in"] == "header"]
        targets.setdefault((method, path.format_map(ids)), declared)
    for (method, target), names in targets.items():
        for name in names:
            for value in HEADERS:
                await _send(ana, method, target, content=b"{}", headers={name: value})
    await _send(ana, "GET", f"/api/v1/todos/{known['todo_id']}")


@pytest.mark.parametrize(
    ("content", "status"),
    [
        (b'{"title": "a", "title": "b"}', 400),
        (b'{"title": "a", "priority": NaN}', 400),
        (b'{"title": "\\ud800"}', 400),
        (b'{"title": "\xed\xa0\x80"}', 400),
        (b'\xef\xbb\xbf{"title": "a"}', 400),
        ('{"title": "a"}'.encode("utf-16"), 400),
        (b'{"title": "a"} {}', 400),
        (b"[" * 100_000, 400),
        (b'{"title": "a\\u0000b"}', 422),
        (b'{"title": "a", "priority": 9223372036854775808}', 422),
        (b'"a"', 422),
        (b"", 422),
    ],
)
async def test_what_is_no_json_is_400_and_what_is_not_acceptable_422(ana: Person, content: bytes, status: int) -> None:
    answer = await ana.request("POST", "/todos", content=content, headers={"Content-Type": "application/json"})
    expected = {400: "MALFORMED_REQUEST", 422: "VALIDATION_ERROR"}[status]
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, expected)
    assert (await ana.get("/todos")).json()["items"] == []


@pytest.mark.parametrize(
    "media_type", [None, "text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"]
)
async def test_what_is_not_sent_as_json_is_415_and_has_no_effect(ana: Person, media_type: str | None) -> None:
    headers = {"Content-Type": media_type} if media_type else {}
    answer = await ana.request("POST", "/todos", content=b'{"title": "a"}', headers=headers)
    assert (answer.status_code, answer.json()["error"]["code"]) == (415, "UNSUPPORTED_MEDIA_TYPE")
    assert (await ana.get("/todos")).json()["items"] == []


class _Known(dict[str, str]):
    """Ids by the name of their place; what is not there has one that nothing has."""

    def __missing__(self, _name: str) -> str:
        return SOME_ID

    @classmethod
    async def of(cls, person: Person) -> "_Known":
        """Things that are there."""
        home = await person.list()
        todo = await person.todo(list_id=home["id"], due={"date": "2026-12-24"})
        reminder = await person.post(f"/todos/{todo['id']}/reminders", {"offset_minutes": -5, "channels": ["room"]})
        hook = await person.post("/webhooks", {"url": "https://hooks.example.com/", "list_id": home["id"]})
        assert (reminder.status_code, hook.status_code) == (201, 201), (reminder.text, hook.text)
        return cls(
            list_id=home["id"],
            todo_id=todo["id"],
            reminder_id=reminder.json()["id"],
            webhook_id=hook.json()["id"],
            user_id=str(person.user["id"]),
            revision="1",
        )


def _operations(document: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, item in document["paths"].items():
        for method, operation in item.items():
            yield method.upper(), path, operation


def _bodies(document: dict[str, Any], operation: dict[str, Any], known: _Known) -> Iterator[str]:
    """A sound body with one value at a time replaced, at whatever depth, and each value alone."""
    content = operation.get("requestBody", {}).get("content", {}).get("application/json")
    if content is None:
        return
    schema = content["schema"]
    reference = schema.get("$ref") or next(option["$ref"] for option in schema["anyOf"] if "$ref" in option)
    name = reference.rpartition("/")[2]
    example = document["components"]["schemas"][name]["examples"][0]
    example = {key: PASSWORD if "password" in key else value for key, value in example.items()}
    example |= {key: known[key] for key in example if key in known}
    yield from VALUES
    for value in INNER:
        yield f'{{"nonsense": {value}}}'
    for place in _places(example):
        for value in VALUES if len(place) == 1 else INNER:
            yield _with(example, place, value)


def _places(value: object) -> Iterator[tuple[str | int, ...]]:
    """Of lists the first item alone."""
    members = value.items() if isinstance(value, dict) else enumerate(value[:1]) if isinstance(value, list) else ()
    for name, inner in members:
        yield (name,)
        yield from ((name, *rest) for rest in _places(inner))


def _with(example: dict[str, Any], place: tuple[str | int, ...], text: str) -> str:
    """The example as JSON, with what is written at the place, which need not be JSON, taken as it is."""
    hole = "\N{REPLACEMENT CHARACTER}"
    copy: Any = deepcopy(example)
    inside = copy
    for step in place[:-1]:
        inside = inside[step]
    inside[place[-1]] = hole
    return json.dumps(copy, ensure_ascii=False).replace(f'"{hole}"', text)


async def _send(
    ana: Person, method: str, path: str, content: bytes | None = None, headers: dict[str, bytes] | None = None
) -> None:
    sent = {name: value.encode() for name, value in {**ana.headers, "Content-Type": "application/json"}.items()}
    if path.endswith(("/auth/logout", "/auth/sessions", "/users/me")) and method in {"POST", "DELETE"}:
        sent.pop("Authorization")  # or the rest would be 401s
    pairs = [(name.encode(), value) for name, value in {**sent, **(headers or {})}.items()]
    answer = await ana.client.request(method, path, content=content, headers=pairs)
    assert answer.status_code < 500, f"{method} {path} {content!r:.300} {headers}: {answer.text}"
    if answer.status_code >= 400:
        assert set(answer.json()["error"]) == {"code", "message", "details", "request_id"}
        assert len(answer.content) < LONGEST_ERROR
