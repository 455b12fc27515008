"""How an exception becomes the answer of the contract: one shape for all, or a problem document on request."""

import re
from collections.abc import Sequence
from functools import lru_cache
from http import HTTPStatus
from typing import Any

import orjson
import structlog
from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Scope

from doable.core import db
from doable.core.claims import Replayed
from doable.core.errors import AppException, Code, Details
from doable.core.http import idempotency, routing
from doable.core.http.context import info

MAX_DETAILS = 20
MAX_DETAILS_BYTES = 1500
MAX_FIELD = 100
MAX_MESSAGE = 200

_QUALITY = re.compile(r";\s*q\s*=\s*([01](?:\.[0-9]{0,3})?)\s*$")
_BY_STATUS = {
    400: Code.MALFORMED_REQUEST,
    401: Code.UNAUTHENTICATED,
    403: Code.FORBIDDEN,
    404: Code.NOT_FOUND,
    405: Code.METHOD_NOT_ALLOWED,
    413: Code.BODY_TOO_LARGE,
    415: Code.UNSUPPORTED_MEDIA_TYPE,
    422: Code.VALIDATION_ERROR,
    429: Code.RATE_LIMITED,
    503: Code.UNAVAILABLE,
}

type RawHeaders = list[tuple[bytes, bytes]]

log = structlog.get_logger(__name__)


def install(app: FastAPI) -> None:
    """Let every error inside the application be answered in the shape of the contract."""
    for kind in (
        AppException,
        RequestValidationError,
        HTTPException,
        db.Unavailable,
        db.SerializationFailure,
        db.OutcomeUnknown,
        Exception,  # answered here, then raised again for the log
    ):
        app.add_exception_handler(kind, _handle)
    app.add_exception_handler(Replayed, idempotency.answer_again)


def error_response(scope: Scope, error: Exception) -> tuple[int, RawHeaders, bytes]:
    """Status, headers and body for any exception; what is not meant for a client becomes INTERNAL_ERROR."""
    refusal = _refusal(scope, error)
    request_id = info(scope).request_id
    if _wants_problem(next((value for name, value in scope["headers"] if name == b"accept"), b"")):
        media_type, content = b"application/problem+json", _problem(scope, refusal, request_id)
    else:
        media_type, content = b"application/json", {"error": _members(refusal, request_id)}
    body = orjson.dumps(content, default=str)
    headers = [
        (b"content-type", media_type),
        (b"content-length", str(len(body)).encode()),
        (b"cache-control", b"no-store"),
        *((name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in _headers(refusal).items()),
    ]
    return refusal.code.status, headers, body


async def _handle(request: Request, error: Exception) -> Response:
    if isinstance(error, db.DatabaseError):
        log.warning("database refused", reason=repr(error), request_id=info(request.scope).request_id)
    status, headers, body = error_response(request.scope, error)
    response = Response(body, status)
    response.raw_headers = headers
    return response


def _refusal(scope: Scope, error: Exception) -> AppException:
    match error:
        case AppException():
            return error
        case RequestValidationError():
            return AppException(Code.VALIDATION_ERROR, "The request is not valid.", _details(error.errors()))
        case HTTPException():
            return _of_framework(scope, error)
        case db.SerializationFailure() | db.OutcomeUnknown() | db.Unavailable():
            return _of_database(error)
        case ClientDisconnect():
            return AppException(Code.MALFORMED_REQUEST, "The body ended before it was complete.")
    return AppException(Code.INTERNAL_ERROR, "Something went wrong on this server. The request id leads to it.")


def _of_framework(scope: Scope, error: HTTPException) -> AppException:
    if error.status_code == Code.NOT_FOUND.status:
        return AppException(Code.NOT_FOUND, "There is no such resource.")
    if error.status_code == Code.METHOD_NOT_ALLOWED.status:
        methods = routing.allowed_methods(scope["app"], scope)
        if scope["state"]["settings"].cors_origins:
            methods.append("OPTIONS")
        message = "The resource does not offer this method."
        return AppException(Code.METHOD_NOT_ALLOWED, message, headers={"Allow": ", ".join(methods)})
    fallback = Code.INTERNAL_ERROR if error.status_code >= Code.INTERNAL_ERROR.status else Code.MALFORMED_REQUEST
    return AppException(_BY_STATUS.get(error.status_code, fallback), str(error.detail), headers=error.headers)


def _of_database(error: db.DatabaseError) -> AppException:
    if isinstance(error, db.OutcomeUnknown):
        message = "The database did not say whether the change was made. Look before you send it again."
        return AppException(Code.OUTCOME_UNKNOWN, message)
    if isinstance(error, db.SerializationFailure):
        message = "Another request was in the way and nothing was written. Send the same request again."
        return AppException(Code.UNAVAILABLE, message, headers={"Retry-After": "0"})
    return AppException(Code.UNAVAILABLE, "The database does not answer. Nothing was written.")


def _details(errors: Sequence[Any]) -> Details:
    # Names of unknown fields are the client's own text: many or long ones must not come back.
    details: list[dict[str, str]] = []
    size = 0
    for error in errors[:MAX_DETAILS]:
        field = ".".join(str(part) for part in error["loc"])
        detail = {"field": _cut(field, MAX_FIELD), "message": _message(error), "type": error["type"]}
        size += len(orjson.dumps(detail))
        if details and size > MAX_DETAILS_BYTES:
            break
        details.append(detail)
    return details


def _message(error: dict[str, Any]) -> str:
    if error["type"] == "union_tag_invalid":  # Pydantic's own message repeats the input
        return "Input is of no known kind"
    return _cut(error["msg"], MAX_MESSAGE)


def _cut(text: str, length: int) -> str:
    short = text if len(text) <= length else f"{text[: length - 1]}…"
    return short.encode("utf-8", "replace").decode()


def _members(refusal: AppException, request_id: str) -> dict[str, object]:
    return {
        "code": refusal.code,
        "message": refusal.message,
        "details": refusal.details,
        "request_id": request_id,
    }


def _problem(scope: Scope, refusal: AppException, request_id: str) -> dict[str, object]:
    status = refusal.code.status
    return {
        "type": f"{scope['state']['settings'].public_url.rstrip('/')}/errors/{refusal.code}",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": refusal.message,
        "code": refusal.code,
        "details": refusal.details,
        "request_id": request_id,
    }


def _headers(refusal: AppException) -> dict[str, str]:
    headers = dict(refusal.headers)
    if refusal.code.status == Code.UNAUTHENTICATED.status:
        headers.setdefault("WWW-Authenticate", "Bearer")
    if refusal.code.status == Code.UNAVAILABLE.status:
        headers.setdefault("Retry-After", "1")
    return headers


@lru_cache(maxsize=128)
def _wants_problem(accept: bytes) -> bool:
    """Whether problem documents are named, and preferred to JSON or as welcome and named first."""
    best: dict[str, tuple[float, int]] = {}
    for place, item in enumerate(accept.decode("latin-1").lower().split(",")):
        quality = _QUALITY.search(item)
        best.setdefault(item.partition(";")[0].strip(), (float(quality[1]) if quality else 1.0, -place))
    problem = best.get("application/problem+json", (0.0, 0))
    return problem[0] > 0 and problem > best.get("application/json", (0.0, 0))
