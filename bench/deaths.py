"""How long those wait who ran beside a job that has killed its process, until another worker begins them again."""

import statistics
from collections.abc import Mapping
from pathlib import Path

from doable import runtime
from tests.support import configuration, crews, poison

ROUNDS = 3


async def measure(folder: Path, databases: Mapping[str, str]) -> str:
    found = []
    for name, url in databases.items():
        db = runtime.open_database(configuration.make_settings(url, folder))
        rounds = []
        for number in range(ROUNDS):
            async with crews.working(url, folder / f"ledger-{name}-{number}") as crew:
                rounds.append(await crews.delays(db, crew))
        await db.close()
        first, last = (statistics.median(late[which] for late in rounds) for which in (0, -1))
        found.append(f"{name} {first:.2f} to {last:.2f} s")
    return (
        f"A job kills its process, and {crews.INNOCENT} others ran beside it: another process begins them again after "
        f"{', '.join(found)} (the first to the last, medians of {ROUNDS}; their leases last {poison.LONGEST:g} s)."
    )
