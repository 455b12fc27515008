"""A disk that reports errors: `fsync` fails, by `strace`, for the process that serves."""

import asyncio
import re
import shutil
import sqlite3
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from tests.support import systems
from tests.support.attacks import Row
from tests.support.systems import System

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]
SYNC = "fsync,fdatasync"
_CALL = re.compile(r"(pwrite64|fsync|fdatasync)\(\d+<[^>]*-wal>(?:, .*, (\d+), (\d+))?\) += (-?\d+)")


@pytest.mark.parametrize("which", ["all", pytest.param("each third", marks=pytest.mark.fault)])
async def test_f17_what_the_disk_has_not_confirmed_is_not_acknowledged(
    one_process: System, row: Row, tmp_path: Path, which: str
) -> None:
    system, folder = one_process, tmp_path / "trace"
    async with row.attack("F17 fsync fails", system, hooks=False) as attack:
        ledger = attack.ledger
        with _failing(system, folder, "1+" if which == "all" else "3+3"):
            await asyncio.sleep(0.5)  # what was under way
            began, before = time.monotonic(), ledger.statuses()[503]
            await systems.wait_until(lambda: ledger.statuses()[503] >= before + 10, 60)
            answer = await ledger.send("GET", "/todos?size=1", None, {})
            assert answer is not None
            assert answer.status_code == 200
            acknowledged = sum(entry.acknowledged > began for entry in ledger.entries)
            assert (acknowledged == 0) == (which == "all")
        await attack.lift()
        failed = _failures(folder)
        attack.note = f"{which} of them, {failed}; the process goes on, and writes again what they were to confirm"
        assert failed >= 5
    with closing(sqlite3.connect(system.settings.database.removeprefix("sqlite:///"))) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)


@contextmanager
def _failing(system: System, folder: Path, when: str) -> Iterator[None]:
    """So many of the calls end with EIO and do nothing, in each thread; what it writes is traced, too."""
    strace = shutil.which("strace")
    if strace is None:
        pytest.skip("no strace on PATH")
    folder.mkdir()
    command = [strace, "-ff", "-y", "-s", "0", "-e", f"trace={SYNC},pwrite64"]
    command += [
        "-e",
        f"inject={SYNC}:error=EIO:when={when}",
        "-o",
        str(folder / "thread"),
        "-p",
        str(system.server.pid),
    ]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        said = process.stderr.readline()
        try:
            if "attached" not in said:
                pytest.skip(f"strace may not look into other processes here: {said.strip()}")
            yield
        finally:
            process.terminate()


def _failures(folder: Path) -> int:
    """How many of the log's syncs failed. Nothing that one of them was to make safe is taken for safe afterwards.

    The kernel forgets what it could not write: the next sync confirms only what has been written anew. What is beyond
    the end of the log does not count.
    """
    failed = 0
    for trace in folder.iterdir():
        doubtful: set[int] = set()
        written: set[int] = set()
        for call, _, offset, result in _CALL.findall(trace.read_text()):
            if call == "pwrite64":
                doubtful.discard(int(offset))
                written = {0} if offset == "0" else written | {int(offset)}  # it begins anew
                continue
            if result == "0":
                assert not {place for place in doubtful if place <= max(written, default=0)}, trace.name
            else:
                failed += 1
                doubtful |= written
            written = set()
    return failed
