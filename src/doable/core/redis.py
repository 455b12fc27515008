"""The client of Redis or Valkey, as every part of a process shares it."""

try:
    from redis.asyncio import BlockingConnectionPool, Redis
    from redis.asyncio.retry import Retry
    from redis.backoff import NoBackoff
except ModuleNotFoundError:
    INSTALLED = False
else:
    INSTALLED = True

MAX_CONNECTIONS = 20
TIMEOUT = 0.25
"""Seconds to get a connection, to open it, and to get an answer: each."""


def keys_of(epoch: str) -> str:
    """What the keys of an installation begin with: others may use the same Redis."""
    return f"doable:{epoch}:"


def connect(url: str, timeout: float = TIMEOUT) -> "Redis":
    """A client that fails soon. It connects on first use; its owner awaits `aclose()`."""
    if not INSTALLED:
        raise ModuleNotFoundError("REDIS_URL needs the package redis: install doable[redis]")
    # All of it differs from redis-py's defaults, which raise when every connection is in use, and wait seven seconds
    # and more for a server that hangs.
    pool = BlockingConnectionPool.from_url(
        url,
        max_connections=MAX_CONNECTIONS,
        timeout=TIMEOUT,
        socket_timeout=timeout,
        socket_connect_timeout=TIMEOUT,
        retry=Retry(NoBackoff(), 0),
    )
    return Redis.from_pool(pool)
