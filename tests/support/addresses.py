"""Free TCP ports on the loopback interface."""

import socket


def free_port() -> int:
    """A port that was free a moment ago; who binds it must be ready to be refused."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port
