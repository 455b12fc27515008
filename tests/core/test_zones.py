"""Time zones come from the package alone."""

import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from doable.core import zones


def test_every_name_is_a_zone() -> None:
    assert len(zones.NAMES) > 500
    for name in zones.NAMES:
        assert zones.zone(name).key == name


@pytest.mark.parametrize("name", ["Factory", "Mars/Olympus", "../../etc/passwd", "/etc/localtime"])
def test_what_is_no_name_is_not_opened(name: str) -> None:
    with pytest.raises(ValueError, match=name):
        zones.zone(name)


def test_zones_do_not_depend_on_the_system(tmp_path: Path) -> None:
    (tmp_path / "Europe").mkdir()
    (tmp_path / "Europe" / "Zagreb").write_bytes(b"no zone")
    (tmp_path / "Here").write_bytes(b"TZif")
    code = (
        "from datetime import UTC, datetime; from doable.core import zones;"
        "print(len(zones.NAMES), 'Here' in zones.NAMES, datetime(2026, 7, 1, tzinfo=UTC)"
        ".astimezone(zones.zone('Europe/Zagreb')).isoformat())"
    )
    environment = {**os.environ, "PYTHONTZPATH": str(tmp_path)}
    shown = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert shown.stdout.split() == [str(len(zones.NAMES)), "False", "2026-07-01T02:00:00+02:00"]


def test_a_zone_knows_its_changes() -> None:
    zagreb = zones.zone("Europe/Zagreb")
    assert datetime(2026, 3, 29, 0, 59, tzinfo=UTC).astimezone(zagreb).hour == 1
    assert datetime(2026, 3, 29, 1, 0, tzinfo=UTC).astimezone(zagreb).hour == 3
