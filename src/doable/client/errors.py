"""How calls and rooms end that do not end well."""

from typing import Any


class Refused(Exception):
    """The server has answered, and it is a no: `code` is one of those that the documents list."""

    def __init__(self, status: int, code: str, message: str, details: Any = None) -> None:
        super().__init__(f"{status} {code}: {message}")
        self.status = status
        self.code = code
        self.details = details


class Unreachable(Exception):
    """There was no answer. Where the request was one that changes something, it may have had its effect."""


class RoomClosed(Exception):
    """The room is closed for good: 4003 for who is no member (any more), 4004 for a session that has ended."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(f"{code} {reason}")
        self.code = code
        self.reason = reason
