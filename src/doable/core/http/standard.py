"""The headers that every answer has, whoever made it."""

from collections.abc import Iterable, Mapping

from doable.core.http import limiting
from doable.core.http.context import Limit, RequestInfo
from doable.settings import Settings

SECRET_PATHS = ("/auth/", "/users/me/tokens")
SECRET_ENDS = ("/webhooks", "/secret", "/invitations")

type Headers = list[tuple[bytes, bytes]]

_PRIVATE = (b"cache-control", b"private, no-cache")
_NO_STORE = (b"cache-control", b"no-store")


class StandardHeaders:
    """What an answer still lacks: as headers, or as the lines that a server writes, for most of them never change."""

    def __init__(self, settings: Settings) -> None:
        self._api = f"{settings.api_v1_prefix}/"
        self._secret_paths = tuple(settings.api_v1_prefix + path for path in SECRET_PATHS)
        self._security = _security_headers(settings)
        self._security_names = frozenset(name for name, _ in self._security)
        self._constant: dict[tuple[tuple[bytes, bytes], ...], bytes] = {
            caching: lines((*self._security, *caching)) for caching in ((), (_PRIVATE,), (_NO_STORE,))
        }

    def headers(self, introduced: RequestInfo, limit: Limit, path: str, given: Mapping[bytes, bytes]) -> Headers:
        lacking = [(b"x-request-id", introduced.request_id.encode()), *limiting.headers(limit)]
        lacking += [header for header in self._security if header[0] not in given]
        return [*lacking, *self._caching(path, given)]

    def lines(self, introduced: RequestInfo, limit: Limit, path: str, given: Mapping[bytes, bytes]) -> bytes | None:
        """The same as lines; `None` if the answer has something of its own in their place."""
        if not self._security_names.isdisjoint(given):
            return None
        return b"\r\nx-request-id: %b\r\nratelimit-limit: %d\r\nratelimit-remaining: %d\r\nratelimit-reset: %d%b" % (
            introduced.request_id.encode(),
            limit.limit,
            limit.remaining,
            limit.reset,
            self._constant[self._caching(path, given)],
        )

    def may_compress(self, path: str) -> bool:
        """Not where an answer holds secrets: its length would tell what it has in common with the request."""
        return not path.startswith(self._secret_paths) and not path.endswith(SECRET_ENDS)

    def _caching(self, path: str, given: Mapping[bytes, bytes]) -> tuple[tuple[bytes, bytes], ...]:
        if b"cache-control" in given or not path.startswith(self._api):
            return ()
        return (_PRIVATE if b"etag" in given else _NO_STORE,)


def lines(headers: Iterable[tuple[bytes, bytes]]) -> bytes:
    return b"".join(b"\r\n%b: %b" % header for header in headers)


def _security_headers(settings: Settings) -> Headers:
    headers = [
        (b"x-content-type-options", b"nosniff"),
        (b"x-frame-options", b"DENY"),
        (b"referrer-policy", b"no-referrer"),
        (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
        (b"permissions-policy", b"camera=(), geolocation=(), microphone=()"),
        (b"cross-origin-opener-policy", b"same-origin"),
        # Only embedding without CORS is refused; a listed origin's requests are CORS.
        (b"cross-origin-resource-policy", b"same-origin"),
    ]
    if settings.public_url.startswith("https:"):
        headers.append((b"strict-transport-security", b"max-age=31536000"))
    return headers
