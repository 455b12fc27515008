"""What a client may be told went wrong: the closed list of codes, and the exception that carries one."""

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Self

type Details = Mapping[str, object] | Sequence[object] | None


class Code(StrEnum):
    """An error code of the contract; each has one HTTP status."""

    status: int

    def __new__(cls, status: int, name: str) -> Self:
        code = str.__new__(cls, name)
        code._value_ = name
        code.status = status
        return code

    MALFORMED_REQUEST = 400, "MALFORMED_REQUEST"
    INVALID_CURSOR = 400, "INVALID_CURSOR"
    UNAUTHENTICATED = 401, "UNAUTHENTICATED"
    INVALID_CREDENTIALS = 401, "INVALID_CREDENTIALS"
    SESSION_ENDED = 401, "SESSION_ENDED"
    FORBIDDEN = 403, "FORBIDDEN"
    INSUFFICIENT_SCOPE = 403, "INSUFFICIENT_SCOPE"
    SESSION_REQUIRED = 403, "SESSION_REQUIRED"
    NOT_FOUND = 404, "NOT_FOUND"
    METHOD_NOT_ALLOWED = 405, "METHOD_NOT_ALLOWED"
    CONFLICT = 409, "CONFLICT"
    EMAIL_TAKEN = 409, "EMAIL_TAKEN"
    USERNAME_TAKEN = 409, "USERNAME_TAKEN"
    ALREADY_EXISTS = 409, "ALREADY_EXISTS"
    IN_TRASH = 409, "IN_TRASH"
    OWNS_SHARED_LISTS = 409, "OWNS_SHARED_LISTS"
    IDEMPOTENCY_IN_PROGRESS = 409, "IDEMPOTENCY_IN_PROGRESS"
    UNDO_CONFLICT = 409, "UNDO_CONFLICT"
    POSITION_LOST = 410, "POSITION_LOST"
    PRECONDITION_FAILED = 412, "PRECONDITION_FAILED"
    BODY_TOO_LARGE = 413, "BODY_TOO_LARGE"
    UNSUPPORTED_MEDIA_TYPE = 415, "UNSUPPORTED_MEDIA_TYPE"
    VALIDATION_ERROR = 422, "VALIDATION_ERROR"
    IDEMPOTENCY_MISMATCH = 422, "IDEMPOTENCY_MISMATCH"
    LIMIT_REACHED = 422, "LIMIT_REACHED"
    OCCURRENCE_REQUIRED = 428, "OCCURRENCE_REQUIRED"
    RATE_LIMITED = 429, "RATE_LIMITED"
    HEADERS_TOO_LARGE = 431, "HEADERS_TOO_LARGE"
    INTERNAL_ERROR = 500, "INTERNAL_ERROR"
    UNAVAILABLE = 503, "UNAVAILABLE"
    OUTCOME_UNKNOWN = 503, "OUTCOME_UNKNOWN"


class AppException(Exception):
    """A refusal with a code of the contract; `headers` go with the answer (`Retry-After`, …)."""

    def __init__(
        self, code: Code, message: str, details: Details = None, *, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.details = details
        self.headers = dict(headers or {})


def invalid_field(field: str, message: str, kind: str = "value_error") -> AppException:
    """A 422 for one field, for rules that a schema cannot express. `field` is a path such as `body.title`."""
    details = [{"field": field, "message": message, "type": kind}]
    return AppException(Code.VALIDATION_ERROR, "The request is not valid.", details)


def not_found(what: str) -> AppException:
    """The one answer for what does not exist and for what the caller may not see."""
    return AppException(Code.NOT_FOUND, f"There is no such {what}.")
