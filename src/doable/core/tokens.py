"""Credentials that this server hands out: access tokens (JWT), refresh tokens, and opaque random tokens."""

import base64
import hashlib
import hmac
import json
import re
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

from doable.core import ids

AUDIENCE = "doable"
MAX_TOKEN = 4096
LEEWAY = timedelta(seconds=60)

_CLAIMS = {"exp", "iat", "sub", "aud", "iss", "jti", "sid", "gen"}
_MAX_GENERATION = 2**31 - 1
# 43 characters hold 258 bits: the last has two that say nothing, so four texts would be the same signature.
_COMPACT = re.compile(r"([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]{42}[AEIMQUYcgkosw048])")
_REFRESH = "dbr_"
_ID_AND_SECRET = 64  # characters of 48 bytes
_TAG_BYTES = 8
_REFRESH_BODY = re.compile(r"[A-Za-z0-9_-]{75}")


class Claims(NamedTuple):
    user_id: UUID
    session_id: UUID
    generation: int
    expires_at: datetime


class AccessTokens:
    """JWTs of RFC 9068's type, signed by HMAC-SHA256.

    Even what is signed with the right key is refused unless it looks as if made here: there is no algorithm to choose
    and no header to interpret, and so nothing that a library of JOSE would have to know.
    """

    def __init__(self, key: bytes, previous: bytes | None, *, issuer: str, lifetime: timedelta) -> None:
        self._keys = (key,) if previous is None else (key, previous)
        self._issuer = issuer
        self._lifetime = lifetime
        # Compared as text and never interpreted: nobody's `alg`, `typ`, `kid`, `jku`, `crit` or `zip` counts.
        self._header = _base64url(b'{"alg":"HS256","typ":"at+jwt"}')

    def issue(self, user_id: UUID, session_id: UUID, generation: int, now: datetime) -> str:
        claims = {
            "iss": self._issuer,
            "aud": AUDIENCE,
            "sub": str(user_id),
            "sid": str(session_id),
            "gen": generation,
            "jti": str(ids.new_id()),
            "iat": int(now.timestamp()),
            "exp": int((now + self._lifetime).timestamp()),
        }
        return self._sign(json.dumps(claims, separators=(",", ":")).encode())

    def read(self, token: str, now: datetime) -> Claims | None:
        """What a live token of ours says; `None` for everything else, whatever it is."""
        payload = self.payload(token)
        return None if payload is None else self._claims(payload, now)

    def payload(self, token: str) -> bytes | None:
        """What is signed, if it is signed by us; `None` otherwise."""
        if len(token) > MAX_TOKEN or not (match := _COMPACT.fullmatch(token)) or match[1] != self._header:
            return None
        signed, signature = match[0].rpartition(".")[0].encode(), match[3].encode()
        known = [hmac.compare_digest(_signature(key, signed), signature) for key in self._keys]
        if not any(known):
            return None
        try:
            return base64.urlsafe_b64decode(match[2] + "=" * (-len(match[2]) % 4))
        except ValueError:
            return None

    def _sign(self, payload: bytes) -> str:
        content = f"{self._header}.{_base64url(payload)}"
        return f"{content}.{_signature(self._keys[0], content.encode()).decode()}"

    def _claims(self, payload: bytes, now: datetime) -> Claims | None:
        try:
            claims = json.loads(payload, object_pairs_hook=_without_duplicates)
        except (ValueError, RecursionError):
            return None
        if not isinstance(claims, dict) or claims.keys() != _CLAIMS or not self._lives(claims, now):
            return None
        user_id, session_id, token_id = _uuid(claims["sub"]), _uuid(claims["sid"]), _uuid(claims["jti"])
        if user_id is None or session_id is None or token_id is None:
            return None
        return Claims(user_id, session_id, claims["gen"], datetime.fromtimestamp(claims["exp"], UTC))

    def _lives(self, claims: dict[str, Any], now: datetime) -> bool:
        """The bound above `exp` makes a token that somebody gave a longer life than we do worthless."""
        moment, leeway = now.timestamp(), LEEWAY.total_seconds()
        return (
            claims["iss"] == self._issuer
            and claims["aud"] == AUDIENCE
            and _whole(claims["gen"])
            and claims["gen"] <= _MAX_GENERATION
            and _whole(claims["iat"])
            and claims["iat"] <= moment + leeway
            and _whole(claims["exp"])
            and moment < claims["exp"] <= moment + self._lifetime.total_seconds() + leeway
        )


class RefreshTokens:
    """Opaque tokens that name their session: `dbr_` and base64url of session id, secret and tag.

    The tag proves without a look-up that the server made the token, so that nobody can end a session by inventing one.
    """

    def __init__(self, key: bytes, previous: bytes | None) -> None:
        self._keys = (key,) if previous is None else (key, previous)

    def first(self, session_id: UUID) -> str:
        return self._make(session_id, ids.new_secret())

    def successor(self, presented: str, salt: bytes) -> str:
        """The same for the same token and salt: a client whose answer was lost gets it again; it is stored nowhere."""
        session_id = self.session_of(presented)
        if session_id is None:
            raise ValueError("only a token of this server has a successor")
        secret = _decoded(presented)[16:48]
        return self._make(session_id, hmac.digest(secret, salt, "sha256"))

    def session_of(self, token: str) -> UUID | None:
        if not token.startswith(_REFRESH) or not _REFRESH_BODY.fullmatch(token, len(_REFRESH)):
            return None
        raw = _decoded(token)
        body, tag = raw[:-_TAG_BYTES], raw[-_TAG_BYTES:]
        known = [hmac.compare_digest(_tag(key, body), tag) for key in self._keys]
        return UUID(bytes=raw[:16]) if any(known) and _encoded(raw) == token else None

    def _make(self, session_id: UUID, secret: bytes) -> str:
        body = session_id.bytes + secret
        return _encoded(body + _tag(self._keys[0], body))


def digest(token: str) -> bytes:
    """What is stored of an opaque token.

    A refresh token's tag is left out: it changes with the server's key, and the successor that a client asks for again
    after that must still be the one that is stored.
    """
    secret = token[: len(_REFRESH) + _ID_AND_SECRET] if token.startswith(_REFRESH) else token
    return hashlib.sha256(secret.encode(errors="surrogatepass")).digest()


def new_token(prefix: str) -> str:
    """An opaque token of 256 random bits; the prefix tells people and secret scanners what it is."""
    return prefix + _base64url(ids.new_secret())


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("a claim is there twice")
    return members


def _uuid(value: object) -> UUID | None:
    """Only the form in which we write it."""
    if not isinstance(value, str):
        return None
    try:
        found = UUID(value)
    except ValueError:
        return None
    return found if str(found) == value else None


def _whole(value: object) -> bool:
    return type(value) is int and value >= 0


def _signature(key: bytes, signed: bytes) -> bytes:
    return base64.urlsafe_b64encode(hmac.digest(key, signed, "sha256")).rstrip(b"=")


def _tag(key: bytes, body: bytes) -> bytes:
    return hmac.digest(key, b"refresh" + body, "sha256")[:_TAG_BYTES]


def _encoded(raw: bytes) -> str:
    return _REFRESH + _base64url(raw)


def _decoded(token: str) -> bytes:
    return base64.urlsafe_b64decode(token[len(_REFRESH) :] + "=")


def _base64url(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
