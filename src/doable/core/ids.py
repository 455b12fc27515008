"""Keys and secrets: what is unique and what nobody can guess."""

import secrets
import sys
from uuid import NAMESPACE_URL, UUID, uuid5

if sys.version_info >= (3, 14):
    from uuid import uuid7
else:
    from uuid_utils.compat import uuid7


def new_id() -> UUID:
    """A UUIDv7: unique and in order of creation. It can be guessed and is never a secret."""
    return uuid7()


def id_of(name: str) -> UUID:
    """The same for the same name: for what there is only one of."""
    return uuid5(NAMESPACE_URL, f"doable:{name}")


def new_secret() -> bytes:
    """32 bytes that nobody can guess."""
    return secrets.token_bytes(32)
