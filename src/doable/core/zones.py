"""Time zones, from the `tzdata` package and never from the system, so that every server knows the same ones."""

from functools import cache
from importlib import resources
from zoneinfo import ZoneInfo

# "Factory" means: none was set.
NAMES = frozenset(resources.files("tzdata").joinpath("zones").read_text("ascii").split()) - {"Factory"}


@cache
def zone(name: str) -> ZoneInfo:
    """One of `NAMES`; read once."""
    if name not in NAMES:
        raise ValueError(name)
    with resources.files("tzdata").joinpath("zoneinfo", *name.split("/")).open("rb") as file:
        return ZoneInfo.from_file(file, key=name)
