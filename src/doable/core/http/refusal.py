"""Which heads are refused before the app sees them, and the bytes that say so. httptools refuses much by itself."""

from collections.abc import Iterable
from http import HTTPStatus

import orjson

from doable.core import ids
from doable.core.errors import AppException, Code

FIELD_OVERHEAD = 4  # bytes: colon, space, CR, LF
NUMBER_SIGN = ord("#")  # for bytes, `in` with a number is eight times quicker than with bytes

type Fields = Iterable[tuple[bytes, bytes]]


def malformed(message: str) -> AppException:
    return AppException(Code.MALFORMED_REQUEST, message)


def too_large(message: str) -> AppException:
    return AppException(Code.HEADERS_TOO_LARGE, message)


def body_too_large(limit: int) -> AppException:
    return AppException(Code.BODY_TOO_LARGE, f"The body has more than {limit} bytes.")


def too_many_connections() -> AppException:
    message = "There are too many connections. Try again in a moment."
    return AppException(Code.UNAVAILABLE, message, headers={"Retry-After": "1"})


def check_start(version: str, target: bytes) -> None:
    if version not in {"1.1", "1.0"}:
        raise malformed("Only HTTP/1.1 and HTTP/1.0 are spoken here.")
    if target[:1] != b"/" or NUMBER_SIGN in target:
        raise malformed("The request target must be a path that begins with '/'.")


def check_framing(version: str, fields: Fields) -> int | None:
    """The length that the head declares, `None` for a chunked body. Raises `AppException` when it can be misread."""
    hosts = 0
    length: int | None = 0
    for name, value in fields:
        if name == b"host":
            hosts += 1
        elif name == b"content-length":  # one, all digits, never with Transfer-Encoding: httptools saw to it
            length = int(value)
        elif name == b"transfer-encoding":
            if value != b"chunked" or version != "1.1":
                raise malformed("Transfer-Encoding must be exactly 'chunked', in HTTP/1.1.")
            length = None
    if hosts > 1 or (not hosts and version == "1.1"):
        raise malformed("A request has exactly one Host header.")
    return length


def check_size(target: bytes, fields: Fields, *, target_limit: int, fields_limit: int) -> None:
    """Raises `AppException` when the target or all header fields together have more bytes than their limit."""
    if len(target) > target_limit:
        raise too_large(f"The request target has more than {target_limit} bytes.")
    if sum(len(name) + len(value) + FIELD_OVERHEAD for name, value in fields) > fields_limit:
        raise too_large(f"The header fields have more than {fields_limit} bytes.")


def answer(error: AppException, default_headers: Fields) -> bytes:
    """The whole HTTP answer."""
    request_id = str(ids.new_id())
    content = {"code": error.code, "message": error.message, "details": error.details, "request_id": request_id}
    body = orjson.dumps({"error": content})
    fields = {
        "content-type": "application/json",
        "content-length": str(len(body)),
        "connection": "close",
        "cache-control": "no-store",
        "x-content-type-options": "nosniff",
        "x-request-id": request_id,
        **error.headers,
    }
    status = HTTPStatus(error.code.status)
    lines = [f"HTTP/1.1 {status.value} {status.phrase}".encode()]
    lines += [b"%b: %b" % field for field in default_headers]
    lines += [f"{name}: {value}".encode() for name, value in fields.items()]
    return b"\r\n".join([*lines, b"", body])
