"""The version of a row that a client has seen, as an ETag shows it, and the refusal when it has another one now."""

from dataclasses import dataclass

from doable.core.errors import AppException, Code


@dataclass(frozen=True, slots=True)
class Expected:
    """What has to be the version of a row for it to be changed: one of these, or (`None`) any."""

    epoch: str
    versions: frozenset[int] | None


def check(expected: Expected | None, version: int, *rest: object) -> None:
    """Raises `PRECONDITION_FAILED` with the present ETag; `rest` are the parts that it has beside the version.

    Called with what was read, and again with what was read under the lock if somebody was quicker.
    """
    if expected is not None and expected.versions is not None and version not in expected.versions:
        details = {"etag": etag(expected.epoch, version, *rest)}
        raise AppException(
            Code.PRECONDITION_FAILED, "It has another version than the one that If-Match names.", details
        )


def etag(epoch: str, *parts: object) -> str:
    """The strong ETag `"EPOCH.PART.PART…"`: made of versions, never of bytes."""
    if len(parts) == 1:
        return f'"{epoch}.{parts[0]}"'
    return f'"{".".join([epoch, *map(str, parts)])}"'
