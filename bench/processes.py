"""What processes use, by `/proc`, and which cores they are kept to."""

import os
from pathlib import Path
from typing import NamedTuple

CORES = sorted(os.sched_getaffinity(0))
SERVER_CORE, CLIENT_CORE = CORES[0], CORES[-1]
"""Servers have the first core to themselves; who asks them, and PostgreSQL, have the last."""
_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")


class Usage(NamedTuple):
    """What a server has used: `cpu` seconds of all its processes until now, `memory` bytes at this moment."""

    cpu: float
    memory: int


class Server(NamedTuple):
    name: str
    pid: int
    port: int
    log: str

    def said(self) -> str:
        """The end of its log."""
        return Path(self.log).read_text(errors="replace")[-2000:]

    def usage(self) -> Usage:
        processes = [_process(pid) for pid in family(self.pid)]
        return Usage(sum(one.cpu for one in processes), sum(one.memory for one in processes))


def family(pid: int) -> list[int]:
    """A process and all that it has started."""
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except FileNotFoundError:
        return []
    return [pid, *(one for child in children for one in family(int(child)))]


def _process(pid: int) -> Usage:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except FileNotFoundError:
        return Usage(0, 0)
    return Usage((int(fields[11]) + int(fields[12])) / _TICKS, int(fields[21]) * _PAGE)
