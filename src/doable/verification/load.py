"""The step that puts the server under load: the mix of `bench/locustfile.py`, and not one failure."""

import csv
from pathlib import Path

from doable.verification import programs
from doable.verification.outcomes import Outcome, Place, fell, held
from doable.verification.programs import needs_checkout
from doable.verification.serving import NotStarted, Server

_USERS = 20
_NEW_USERS = 4
_SECONDS, _QUICK_SECONDS = 30, 10


@needs_checkout
def load(place: Place, checkout: Path) -> Outcome:
    seconds = _QUICK_SECONDS if place.quick else _SECONDS
    try:
        with Server(place.scratch / "load") as server:
            ended = programs.run(checkout, "locust", *_arguments(place, server, seconds), seconds=seconds + 120)
            log = server.log.read_text(errors="replace")
    except NotStarted as error:
        return fell("the server did not start", str(error)[-4000:])
    statistics = place.scratch / "load_stats.csv"
    if not statistics.exists():
        return programs.refused("locust", ended)
    rows = {row["Name"]: row for row in csv.DictReader(statistics.read_text().splitlines())}
    summary = _summary(rows["Aggregated"])
    whole = int(rows["Aggregated"]["Request Count"])
    failures = int(rows["Aggregated"]["Failure Count"])
    if ended.code != 0 or failures or not whole or '"level":"error"' in log:
        return fell(f"{failures} of {whole} requests failed; {summary}", ended.tail)
    return held(summary)


def _arguments(place: Place, server: Server, seconds: int) -> tuple[str, ...]:
    crowd = (
        "--users",
        str(_USERS),
        "--spawn-rate",
        str(_NEW_USERS),
        "--run-time",
        f"{seconds}s",
        "--stop-timeout",
        "10",
    )
    outputs = ("--reset-stats", "--csv", str(place.scratch / "load"), "--only-summary", "--loglevel", "WARNING")
    return ("--headless", "--locustfile", "bench/locustfile.py", "--host", server.url, *crowd, *outputs)


def _summary(row: dict[str, str]) -> str:
    figures = ", ".join(f"p{share.rstrip('%')} {row[share]} ms" for share in ("50%", "95%", "99%"))
    return f"{row['Request Count']} requests, {float(row['Requests/s']):.0f}/s, {figures}"
