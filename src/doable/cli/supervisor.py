"""Several serving processes on one listening socket: started, watched, replaced, stopped."""

import asyncio
import signal
import socket
import sys
from asyncio.subprocess import Process, create_subprocess_exec
from contextlib import suppress
from pathlib import Path
from typing import Self

import structlog

from doable.cli.server import NOTICE_SECONDS, OVERTIME_SECONDS
from doable.core import clock, telemetry

RESTART_SECONDS = 1.0
"""A process that cannot stay alive is started no more often than this."""
PATIENCE_SECONDS = 2.0
"""Beyond what a process needs, by its own deadlines, to stop."""
WATCH_SECONDS = 0.5

_log = structlog.get_logger("doable.supervisor")


class Supervisor:
    """`SIGTERM` and `SIGINT` stop all processes, a second one kills them; `SIGHUP` replaces one after the other.

    With `watched`, a folder, they are also replaced when Python source in it changes.
    """

    def __init__(self, listener: socket.socket, count: int, *, grace: float, watched: Path | None = None) -> None:
        self._listener = listener
        self._count = count
        self._patience = NOTICE_SECONDS + grace + OVERTIME_SECONDS + PATIENCE_SECONDS
        self._watched = watched
        self._seen: dict[Path, int] = {}
        self._serving: list[_Child] = []
        self._alive: set[_Child] = set()
        self._stopping = asyncio.Event()
        self._outdated = asyncio.Event()

    async def run(self) -> int:
        """The exit code."""
        loop = asyncio.get_running_loop()
        for sig in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(sig, self._stop, sig)
        loop.add_signal_handler(signal.SIGHUP, self._outdated.set)
        if self._watched:  # before anything imports it, or a change during the start would never be seen
            self._seen = await asyncio.to_thread(_stamps, self._watched)
        self._serving = [await self._start() for _ in range(self._count)]
        ready = await asyncio.gather(*(child.is_ready() for child in self._serving))
        failed = not any(ready) and not self._stopping.is_set()
        if failed:
            _log.error("no_worker_started")
            self._stop(signal.SIGINT)
        else:
            await self._supervise()
        return max(int(failed), await self._end())

    async def _supervise(self) -> None:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(self._keep(slot)) for slot in range(self._count)]
            tasks.append(group.create_task(self._keep_fresh()))
            if self._watched:
                tasks.append(group.create_task(self._watch(self._watched)))
            await self._stopping.wait()
            for task in tasks:
                task.cancel()

    async def _start(self) -> "_Child":
        child = await _Child.start(self._listener)
        self._alive.add(child)
        return child

    async def _bury(self, child: "_Child") -> None:
        await child.ended()
        self._alive.discard(child)

    async def _keep(self, slot: int) -> None:
        while True:
            child = self._serving[slot]
            await self._bury(child)
            if self._serving[slot] is child:
                _log.error("worker_died", pid=child.pid, exit_code=child.exit_code)
                await asyncio.sleep(max(0.0, child.started + RESTART_SECONDS - clock.monotonic()))
                self._serving[slot] = await self._start()

    async def _keep_fresh(self) -> None:
        while True:
            await self._outdated.wait()
            self._outdated.clear()
            for slot in range(self._count):
                fresh = await self._start()
                if not await fresh.is_ready():
                    await self._bury(fresh)
                    _log.error("worker_not_replaced", pid=self._serving[slot].pid, exit_code=fresh.exit_code)
                    break
                old, self._serving[slot] = self._serving[slot], fresh
                _log.info("worker_replaced", pid=old.pid, by=fresh.pid)
                old.leave()
                await self._bury(old)

    async def _watch(self, folder: Path) -> None:
        while True:
            now = await asyncio.to_thread(_stamps, folder)
            if now != self._seen:
                self._seen = now
                self._outdated.set()
            await asyncio.sleep(WATCH_SECONDS)

    def _stop(self, sig: signal.Signals) -> None:
        if self._stopping.is_set():
            for child in self._alive:
                child.kill()
            telemetry.flush()
            signal.signal(sig, signal.SIG_DFL)
            signal.raise_signal(sig)
        self._stopping.set()
        for child in self._alive:
            child.leave(at_once=sig == signal.SIGINT)

    async def _end(self) -> int:
        """Wait for all; 1 if one had to be killed, or ended badly."""
        self._listener.close()  # or connections would be made that nobody accepts
        try:
            async with asyncio.timeout(self._patience):
                await asyncio.gather(*(child.ended() for child in self._alive))
        except TimeoutError:
            for child in self._alive:
                child.kill()
            return 1
        # One that has not come to handling signals dies of them.
        return int(any(child.exit_code not in {0, -signal.SIGTERM} for child in self._alive))


class _Child:
    def __init__(self, process: Process, lifeline: socket.socket) -> None:
        self._process = process
        self._lifeline = lifeline
        self.pid = process.pid
        self.started = clock.monotonic()

    @classmethod
    async def start(cls, listener: socket.socket) -> Self:
        ours, theirs = socket.socketpair()
        ours.settimeout(0)
        with theirs:
            inherited = (listener.fileno(), theirs.fileno())
            # -P: what lies in the working directory is no module of ours.
            command = (sys.executable, "-P", "-m", "doable.cli.child", *map(str, inherited))
            # In a group of its own: what a terminal sends to the group is the supervisor's to pass on.
            return cls(await create_subprocess_exec(*command, pass_fds=inherited, process_group=0), ours)

    @property
    def exit_code(self) -> int | None:
        return self._process.returncode

    async def is_ready(self) -> bool:
        """Wait until it serves; `False`: it ended before."""
        try:
            return bool(await asyncio.get_running_loop().sock_recv(self._lifeline, 1))
        except ConnectionError:
            return False

    async def ended(self) -> None:
        await self._process.wait()
        self._lifeline.close()

    def leave(self, *, at_once: bool = False) -> None:
        with suppress(OSError):  # it has ended
            if at_once:
                self._lifeline.shutdown(socket.SHUT_RDWR)
            else:
                self._process.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        with suppress(ProcessLookupError):
            self._process.kill()


def _stamps(folder: Path) -> dict[Path, int]:
    stamps = {}
    for path in folder.rglob("*.py"):
        with suppress(FileNotFoundError):  # an editor's temporary file
            stamps[path] = path.stat().st_mtime_ns
    return stamps
