"""Free TCP ports on the loopback interface."""

import random
import socket

# Below what systems give to connections that go out (from 32768 on Linux): one of those could take it meanwhile.
_PORTS = range(15_000, 32_000)
_random = random.Random()  # noqa: S311 — with a seed of its own, whatever a test does to the global one


def free_port() -> int:
    """A port that was free a moment ago, and that only another test could take."""
    while True:
        port = _random.choice(_PORTS)
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        return port
