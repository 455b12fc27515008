"""The README's tour, run as it is written."""

import re
import subprocess
from pathlib import Path

import pytest

from doable.settings import Settings
from tests.support import servers
from tests.support.documents import README

EXPECTED = [
    '"email":"ana@example.com"',  # registered
    '"title":"Buy milk"',  # listed
    '"description":"Two litres"',  # changed
    '"completed":true',  # done
    '"completed":true',  # read with the script's token
    '"code":"INSUFFICIENT_SCOPE"',  # which may not delete
    '"role":"editor"',  # joined
    '"username":"bob"',  # and a member
]


def test_the_tour_works_as_it_is_written(settings: Settings, tmp_path: Path) -> None:
    with servers.serve(settings, tmp_path) as server:
        _take(server)


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_it_works_with_postgresql_valkey_and_two_workers(settings: Settings, redis_url: str, tmp_path: Path) -> None:
    with servers.serve(settings, tmp_path, "--workers", "2", REDIS_URL=redis_url) as server:
        _take(server)


def _take(server: servers.Server) -> None:
    script = _tour().replace("http://127.0.0.1:8000", server.base_url)
    done = subprocess.run(["sh", "-eu", "-c", script], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    rest = done.stdout
    for expected in EXPECTED:
        assert expected in rest, f"{expected} is not in:\n{done.stdout}"
        rest = rest.partition(expected)[2]


def _tour() -> str:
    sections = (
        README.read_text(encoding="utf-8").partition("## Two minutes with curl")[2].partition("\n## Configuration")[0]
    )
    blocks = re.findall(r"```sh\n(.*?)```", sections, re.DOTALL)
    assert len(blocks) == 2
    return "\n".join(blocks)
