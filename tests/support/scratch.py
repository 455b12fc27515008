"""Where tests keep their files: in memory where there is room, because every database is thrown away."""

import os
import shutil
import sys
import tempfile
from pathlib import Path

_MEMORY = Path("/dev/shm")  # noqa: S108 — names are made by tempfile
_ENOUGH = 2 * 2**30


def prefer_memory() -> None:
    """Make temporary files of this process, and of those it starts, live in memory."""
    if "TMPDIR" not in os.environ and _MEMORY.is_dir() and shutil.disk_usage(_MEMORY).free > _ENOUGH:
        os.environ["TMPDIR"] = str(_MEMORY)
        tempfile.tempdir = None  # it was chosen and kept before there was a test to run


def keep_bytecode() -> None:
    """Whatever the environment says: each of hundreds of started processes would compile everything again."""
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    sys.dont_write_bytecode = False
