"""One of several serving processes, started by the supervisor: `python -m doable.cli.child LISTENER SUPERVISOR`."""

import gc
import socket
import sys

from doable.cli.server import Server
from doable.core import telemetry
from doable.settings import get_settings


def main(listener: int, supervisor: int) -> None:
    """The arguments are inherited file descriptors."""
    gc.freeze()  # what has been imported stays
    settings = get_settings()
    telemetry.configure(settings)
    server = Server(settings, supervisor=socket.socket(fileno=supervisor))
    server.run(sockets=[socket.socket(fileno=listener)])


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
