"""The one parser of JSON bodies: stricter than the standard library's about what JSON is, and bounded."""

import json
import math
import re
from typing import NoReturn

from doable.core.errors import AppException, Code

MAX_DEPTH = 32
MAX_NODES = 10_000
MAX_DIGITS = 30

_HUGE: int = 10**MAX_DIGITS

# Possessive, so that a text without an end costs one look at each byte.
_STRING = re.compile(rb'"(?:[^"\\]|\\.)*+"?', re.DOTALL)
_MARK = re.compile(rb"[\[\]{},]")
_ESCAPED_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")


def parse(raw: bytes) -> object:
    """The value of a JSON text. Raises `AppException` MALFORMED_REQUEST that says what is wrong."""
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError:
        _refuse("The body is not UTF-8.")
    if text.startswith("\ufeff"):
        _refuse("The body starts with a byte order mark.")
    _check_size(raw)
    try:
        value = _DECODER.decode(text)
    except json.JSONDecodeError as error:
        _refuse(f"The body is not JSON: {error.msg} at line {error.lineno}, column {error.colno}.")
    if _ESCAPED_SURROGATE.search(raw):
        _check_surrogates(value)
    return value


def _refuse(message: str) -> NoReturn:
    raise AppException(Code.MALFORMED_REQUEST, message)


def _object(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) != len(pairs):
        _refuse("The body names a member of an object twice.")
    return found


def _integer(digits: str) -> int:
    # Longer than any number of ours: out of range is all that a validator has to see, and int() of
    # thousands of digits is an error of its own.
    if len(digits) > MAX_DIGITS:
        return -_HUGE if digits.startswith("-") else _HUGE
    return int(digits)


def _decimal(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        _refuse("The body has a number that is too large.")
    return number


def _constant(name: str) -> NoReturn:
    _refuse(f"The body is not JSON: {name} is no number.")


_DECODER = json.JSONDecoder(
    object_pairs_hook=_object, parse_int=_integer, parse_float=_decimal, parse_constant=_constant
)


def _check_size(raw: bytes) -> None:
    """Bound what decoding would cost, before it: a bracket or a comma comes before every value but the first."""
    if raw.count(b"[") + raw.count(b"{") <= MAX_DEPTH and raw.count(b",") < MAX_NODES - MAX_DEPTH:
        return
    nodes = depth = 1
    for mark in _MARK.finditer(_STRING.sub(b"", raw)):
        nodes += mark[0] not in b"]}"
        depth += {b"[": 1, b"{": 1, b"]": -1, b"}": -1}.get(mark[0], 0)
        if depth > MAX_DEPTH + 1:
            _refuse(f"The body is nested deeper than {MAX_DEPTH} levels.")
        if nodes > MAX_NODES:
            _refuse(f"The body has more than {MAX_NODES} values.")


def _check_surrogates(value: object) -> None:
    try:
        json.dumps(value, ensure_ascii=False).encode("utf-8")
    except UnicodeEncodeError:
        _refuse("The body has half of a surrogate pair.")
