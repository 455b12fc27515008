"""A PostgreSQL and its replica, without whose word nothing is acknowledged; either can take the place of the other."""

import shutil
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from doable import migrations
from tests.support import blocking, systems
from tests.support.faultproxy import FaultProxy
from tests.support.postgres import Postgres

_PRIMARY = """
wal_level = replica
max_wal_senders = 4
synchronous_commit = on
"""


class Replica(Postgres):
    """A copy, which does what the server at `port` does."""

    def __init__(self, original: Postgres, port: int) -> None:
        self._original = original
        super().__init__(_following(port))

    def _make(self) -> None:
        user = self._wheel.system_user
        if user is not None:
            shutil.chown(self.home, user)
        source = ["-h", "127.0.0.1", "-p", str(self._original.port), "-U", "postgres"]
        command = [str(self._wheel.bin_path / "pg_basebackup"), *source, "-D", str(self.data), "-c", "fast"]
        subprocess.run(command, check=True, cwd=self.home, user=user)
        (self.data / "standby.signal").touch()


@dataclass
class Pair:
    """`link`: between the two."""

    primary: Postgres
    replica: Replica
    link: FaultProxy

    async def synchronise(self) -> None:
        """From now on a commit is acknowledged when the replica has it."""
        self.primary.execute("ALTER SYSTEM SET synchronous_standby_names = '*'")
        self.primary.execute("SELECT pg_reload_conf()")
        await systems.eventually(self._states, ["sync"], 30)

    def promote(self) -> None:
        self.replica.execute("SELECT pg_promote()")

    def demote(self) -> None:
        """What was the primary is started again as the replica of the other one."""
        self.primary.configure(_following(self.replica.port))
        (self.primary.data / "standby.signal").touch()
        self.primary.start()

    async def _states(self) -> list[str]:
        async with self.primary.connected("postgres") as connection:
            return [state for (state,) in await connection.fetch("SELECT sync_state FROM pg_stat_replication")]


@asynccontextmanager
async def paired() -> AsyncIterator[Pair]:
    """Both run, and the database `postgres` is migrated."""
    with Postgres(_PRIMARY) as primary:
        blocking.run(migrations.migrate(primary.url()))
        async with FaultProxy(primary.port) as link:
            with Replica(primary, link.port) as replica:
                pair = Pair(primary, replica, link)
                await pair.synchronise()
                yield pair


def _following(port: int) -> str:
    return f"primary_conninfo = 'host=127.0.0.1 port={port} user=postgres'\n"
