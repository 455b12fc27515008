import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from doable.core.errors import AppException, Code
from doable.core.http import body


def refusal(raw: bytes) -> str:
    with pytest.raises(AppException) as caught:
        body.parse(raw)
    assert caught.value.code is Code.MALFORMED_REQUEST
    return caught.value.message


@pytest.mark.parametrize(
    ("raw", "value"),
    [
        (b'{"title": "x"}', {"title": "x"}),
        (b" \n[1, -2.5e3, true, false, null] ", [1, -2500.0, True, False, None]),
        (b'"\\ud83d\\ude00"', "\U0001f600"),
        (b'"\\\\ud83d"', "\\ud83d"),
        (b'"\\u0000"', "\0"),
        ('"ž"'.encode(), "ž"),
        (b"1e-400", 0.0),
        (b'{"a": {"a": 1}}', {"a": {"a": 1}}),
        (b"[" * 32 + b"]" * 32, None),
    ],
)
def test_json_is_read(raw: bytes, value: object) -> None:
    parsed = body.parse(raw)

    assert parsed == (json.loads(raw) if value is None else value)


@pytest.mark.parametrize(
    ("raw", "says"),
    [
        (b'{"a": 1, "a": 1}', "twice"),
        (b'[{"b": {"a": 1, "\\u0061": 2}}]', "twice"),
        (b'{"a": NaN}', "NaN is no number"),
        (b"[Infinity]", "Infinity is no number"),
        (b"-Infinity", "-Infinity is no number"),
        (b"1e400", "too large"),
        (b"-1e999999999", "too large"),
        (b'"\\ud800"', "surrogate"),
        (b'{"\\udfff": 1}', "surrogate"),
        (b'["\\ude00\\ud83d"]', "surrogate"),
        (b'"\xed\xa0\x80"', "not UTF-8"),
        (b'"\xff"', "not UTF-8"),
        (b'"\xc0\xaf"', "not UTF-8"),
        (b"\xef\xbb\xbf{}", "byte order mark"),
        ('{"a": 1}'.encode("utf-16"), "not UTF-8"),
        ('{"a": 1}'.encode("utf-16-le"), "not JSON"),
        (b"{} {}", "not JSON"),
        (b" ", "not JSON"),
        (b"{'a': 1}", "not JSON"),
        (b'"a\nb"', "not JSON"),
        (b"01", "not JSON"),
        (b"[1,]", "not JSON"),
        (b"[" * 33 + b"]" * 33, "deeper than 32"),
        (b'{"a":' * 33 + b"1" + b"}" * 33, "deeper than 32"),
        (b"[" * 100_000 + b"]" * 100_000, "deeper than 32"),
        (b"[" * 1_000_000, "deeper than 32"),
        (b"[" + b"0," * 10_000 + b"0]", "more than 10000 values"),
        (b"[" + b"[]," * 10_000 + b"0]", "more than 10000 values"),
    ],
    ids=lambda value: repr(value[:24]) if isinstance(value, bytes) else None,
)
def test_what_is_no_json_is_refused_and_the_message_says_why(raw: bytes, says: str) -> None:
    assert says in refusal(raw)


def test_a_text_full_of_commas_and_brackets_is_one_value() -> None:
    text = "[{," * 50_000

    assert body.parse(json.dumps([text]).encode()) == [text]


@pytest.mark.parametrize("digits", [31, 400, 5_000, 1_000_000])
def test_an_endless_integer_is_out_of_range_and_no_error(digits: int) -> None:
    assert body.parse(b"9" * digits) == 10**30
    assert body.parse(b"-" + b"9" * digits) == -(10**30)


def test_a_long_integer_that_may_be_meant_is_exact() -> None:
    assert body.parse(b"[9223372036854775808, 123456789012345678901234567890]") == [
        2**63,
        123456789012345678901234567890,
    ]


def test_the_refusal_does_not_repeat_the_input() -> None:
    assert "hunter2" not in refusal(b'{"password": hunter2}')


values = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**20), 10**20) | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@given(values, st.booleans())
def test_what_json_writes_is_read_as_it_was(value: object, ascii_only: bool) -> None:  # noqa: FBT001 — Hypothesis passes it by place
    text = json.dumps(value, ensure_ascii=ascii_only)
    if "Infinity" in text:
        return

    assert body.parse(text.encode()) == value


@given(
    st.binary(max_size=60) | st.text(alphabet='[]{}",:\\ud8019-+.eEnaltrufs \n\x00é').map(lambda text: text.encode())
)
def test_the_parser_never_accepts_what_the_standard_one_refuses(raw: bytes) -> None:
    try:
        value = body.parse(raw)
    except AppException as refused:
        assert refused.code is Code.MALFORMED_REQUEST  # most inputs are refused, and nothing else may be raised
        return

    assert value == json.loads(raw)
    assert not isinstance(value, float) or math.isfinite(value)
