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

_ESCAPED_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")


def parse(raw: bytes) -> object:
    """The value of a JSON text. Raises `AppException` MALFORMED_REQUEST that says what is wrong."""
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError:
        _refuse("The body is not UTF-8.")
    if text.startswith("\ufeff"):
        _refuse("The body starts with a byte order mark.")
    try:
        value = _DECODER.decode(text)
    except json.JSONDecodeError as error:
        _refuse(f"The body is not JSON: {error.msg} at line {error.lineno}, column {error.colno}.")
    except RecursionError:
        _refuse(f"The body is nested deeper than {MAX_DEPTH} levels.")
    # A bracket or a comma comes before every value but the first: counting them is far cheaper than a walk.
    brackets = raw.count(b"[") + raw.count(b"{")
    if brackets > MAX_DEPTH or brackets + raw.count(b",") >= MAX_NODES:
        _check_size(value)
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


def _check_size(value: object) -> None:
    nodes = 1
    level = [value]
    for _ in range(MAX_DEPTH + 1):
        containers = [node for node in level if isinstance(node, dict | list)]
        if not containers:
            return
        level = [child for node in containers for child in (node.values() if isinstance(node, dict) else node)]
        nodes += len(level)
        if nodes > MAX_NODES:
            _refuse(f"The body has more than {MAX_NODES} values.")
    _refuse(f"The body is nested deeper than {MAX_DEPTH} levels.")


def _check_surrogates(value: object) -> None:
    try:
        json.dumps(value, ensure_ascii=False).encode("utf-8")
    except UnicodeEncodeError:
        _refuse("The body has half of a surrogate pair.")
