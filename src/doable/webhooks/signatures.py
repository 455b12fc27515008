"""How a request proves that it comes from here: https://www.standardwebhooks.com, symmetric."""

import base64
import hashlib
import hmac
from collections.abc import Iterable, Mapping
from datetime import datetime
from uuid import UUID

PREFIX = "whsec_"


def shown(secret: bytes) -> str:
    """The secret as receivers take it."""
    return PREFIX + base64.b64encode(secret).decode()


def headers(delivery_id: UUID, now: datetime, body: bytes, secrets: Iterable[bytes]) -> Mapping[str, str]:
    """A signature for each secret: while two are good, a receiver may know either."""
    timestamp = int(now.timestamp())
    signed = f"{delivery_id}.{timestamp}.".encode() + body
    signatures = (base64.b64encode(hmac.digest(secret, signed, hashlib.sha256)).decode() for secret in secrets)
    return {
        "Content-Type": "application/json",
        "webhook-id": str(delivery_id),
        "webhook-timestamp": str(timestamp),
        "webhook-signature": " ".join(f"v1,{signature}" for signature in signatures),
    }
