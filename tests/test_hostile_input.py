"""Hostile values in every field, parameter and path of every operation: 4xx in our shape, never a 5xx, never a hang."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from doable.app import create_api
from doable.settings import Settings
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


@pytest.fixture
def document(settings: Settings) -> dict[str, Any]:
    made: dict[str, Any] = create_api(settings).openapi()
    return made


@pytest.mark.slow
@pytest.mark.timeout(300)
async def test_no_value_of_any_field_ends_in_a_5xx(ana: Person, document: dict[str, Any]) -> None:
    sent = 0
    for method, path, operation in _operations(document):
        for text in _bodies(document, operation):
            await _send(ana, method, path.format_map(_Ids()), content=text.encode("utf-8", "surrogatepass"))
            sent += 1
    assert sent > 1_000
    assert (await ana.client.get("/health/ready")).json()["status"] == "ok"


@pytest.mark.slow
@pytest.mark.timeout(300)
async def test_no_value_of_any_parameter_ends_in_a_5xx(ana: Person, document: dict[str, Any]) -> None:
    sent = 0
    for method, path, operation in _operations(document):
        for parameter in operation.get("parameters", ()):
            for text in TEXTS:
                name = parameter["name"]
                if parameter["in"] == "path":
                    target = path.format_map(_Ids({name: text or "%20"}))
                elif parameter["in"] == "query":
                    target = f"{path.format_map(_Ids())}?{name}={text}"
                else:
                    continue
                await _send(ana, method, target)
                sent += 1
    assert sent > 500


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


class _Ids(dict[str, str]):
    def __missing__(self, _name: str) -> str:
        return SOME_ID


def _operations(document: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, item in document["paths"].items():
        for method, operation in item.items():
            yield method.upper(), path, operation


def _bodies(document: dict[str, Any], operation: dict[str, Any]) -> Iterator[str]:
    """A sound body with one member at a time replaced, and each value alone."""
    content = operation.get("requestBody", {}).get("content", {}).get("application/json")
    if content is None:
        return
    schema = content["schema"]
    reference = schema.get("$ref") or next(option["$ref"] for option in schema["anyOf"] if "$ref" in option)
    name = reference.rpartition("/")[2]
    example = document["components"]["schemas"][name]["examples"][0]
    example = {key: PASSWORD if "password" in key else value for key, value in example.items()}
    for value in VALUES:
        yield value
        yield f'{{"nonsense": {value}}}'
        for member in example:
            rest = [f"{json.dumps(key)}: {json.dumps(other)}" for key, other in example.items() if key != member]
            yield "{" + ", ".join([*rest, f"{json.dumps(member)}: {value}"]) + "}"


async def _send(ana: Person, method: str, path: str, content: bytes | None = None) -> None:
    headers = {**ana.headers, "Content-Type": "application/json"}
    if path.endswith(("/auth/logout", "/auth/sessions", "/users/me")) and method in {"POST", "DELETE"}:
        headers.pop("Authorization")  # or the rest would be 401s
    answer = await ana.client.request(method, path, content=content, headers=headers)
    assert answer.status_code < 500, f"{method} {path} {content!r:.300}: {answer.text}"
    if answer.status_code >= 400:
        assert set(answer.json()["error"]) == {"code", "message", "details", "request_id"}
        assert len(answer.content) < LONGEST_ERROR
