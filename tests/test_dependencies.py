"""What is installed, from where, and what must not be."""

import re
import tomllib
from importlib.metadata import distributions
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())
LOCKED: list[dict[str, Any]] = tomllib.loads((ROOT / "uv.lock").read_text())["package"]
INSTALLERS = {"pip", "uv"}
REFUSED = {
    "python-multipart": "no route takes a form: decision 7",
    "slowapi": "it does nothing on routes of included routers: decision 3",
    "python-jose": "hardly maintained, confuses algorithms",
    "passlib": "dead",
}


def test_nothing_that_we_refuse_is_installed() -> None:
    installed = {_name(distribution.metadata["Name"]) for distribution in distributions()}
    assert "fastapi" in installed
    assert not installed & REFUSED.keys()


def test_the_lock_is_an_inventory_of_all_that_is_installed_from_one_place() -> None:
    installed = {_name(distribution.metadata["Name"]) for distribution in distributions()}
    assert installed - INSTALLERS <= {package["name"] for package in LOCKED}
    for package in LOCKED:
        if package["name"] != "doable":
            assert package["source"] == {"registry": "https://pypi.org/simple"}, package["name"]
            files = [*package.get("wheels", ()), *([package["sdist"]] if "sdist" in package else [])]
            assert files, package["name"]
            assert all(file["hash"].startswith("sha256:") for file in files), package["name"]


def test_the_server_is_installed_without_tests_and_tools() -> None:
    """What the wheel has is the folder of the package; what comes with it are the dependencies of the project."""
    assert [path.name for path in (ROOT / "src").iterdir() if not path.name.endswith(".egg-info")] == ["doable"]
    named = [file.name for file in (ROOT / "src" / "doable").rglob("*.py")]
    assert not [name for name in named if name.startswith(("test_", "conftest")) or name.endswith("_test.py")]
    extras = PROJECT["project"]["optional-dependencies"].values()
    needed = {_name(one) for ones in (PROJECT["project"]["dependencies"], *extras) for one in ones}
    tools = {_name(one) for ones in PROJECT["dependency-groups"].values() for one in ones}
    assert "fastapi" in needed
    assert not needed & tools


def _name(requirement: str) -> str:
    """`asyncpg` of `asyncpg>=0.32,<0.33`, as package indexes compare it."""
    found = re.match(r"[A-Za-z0-9._-]+", requirement)
    return re.sub(r"[-_.]+", "-", found[0] if found else "").lower()
