"""What logins cost those who read: latencies of reads alone, and while 20 people a second log in.

`python -m bench.logins [--seconds 20] [--write]`: a server of its own, on SQLite; readers keep asking, four at once.
Hashing has one niced thread: what it cannot do in time is answered 503, at once, and counted.
"""

import argparse
import asyncio
import statistics
import tempfile
import time
from collections import Counter
from pathlib import Path

import httpx2

from bench import report
from doable.verification.serving import Server

API = "/api/v1"
PASSWORD = "twenty people and their lists 7"  # noqa: S105 — of people who do not exist
READERS = 4
LOGINS_A_SECOND = 20
PEOPLE = 40
"""Who logs in many times at once has to wait, whether or not it is right."""


async def read(client: httpx2.AsyncClient, path: str, until: float) -> list[float]:
    """Seconds of each answer."""
    took = []
    while time.perf_counter() < until:
        begun = time.perf_counter()
        (await client.get(path)).raise_for_status()
        took.append(time.perf_counter() - begun)
    return took


async def log_in(client: httpx2.AsyncClient, until: float) -> Counter[int]:
    """So many a second, whether or not those before them are answered; statuses."""
    begun = time.perf_counter()
    asked: list[asyncio.Task[httpx2.Response]] = []
    while time.perf_counter() < until:
        form = {"login": f"ana{len(asked) % PEOPLE}", "password": PASSWORD}
        asked.append(asyncio.create_task(client.post(f"{API}/auth/login", json=form, headers={"Authorization": ""})))
        await asyncio.sleep(max(0, begun + len(asked) / LOGINS_A_SECOND - time.perf_counter()))
    return Counter(answer.status_code for answer in await asyncio.gather(*asked))


async def measure(url: str, seconds: float) -> str:
    async with httpx2.AsyncClient(base_url=url, trust_env=False, timeout=60) as client:
        path = await prepared(client)
        rows = ["| reads | p50 | p99 | a second | logins by status |", "|---|---|---|---|---|"]
        for name, busy in (("alone", False), ("with 20 logins a second", True)):
            until = time.perf_counter() + seconds
            logins = asyncio.create_task(log_in(client, until)) if busy else None
            took = [
                one
                for some in await asyncio.gather(*(read(client, path, until) for _ in range(READERS)))
                for one in some
            ]
            statuses = dict(sorted((await logins).items())) if logins else {}
            rows.append(row(name, took, seconds, statuses))
    return "\n".join(rows)


def row(name: str, took: list[float], seconds: float, statuses: dict[int, int]) -> str:
    shares = statistics.quantiles(took, n=100)
    told = ", ".join(f"{status}: {count}" for status, count in statuses.items())
    return f"| {name} | {shares[49] * 1000:.1f} ms | {shares[98] * 1000:.1f} ms | {len(took) / seconds:.0f} | {told} |"


async def prepared(client: httpx2.AsyncClient) -> str:
    """People, and a todo of the first, whose path comes back."""
    for number in range(PEOPLE):
        form = {"email": f"ana{number}@example.com", "username": f"ana{number}", "password": PASSWORD}
        (await client.post(f"{API}/users", json={**form, "confirm_password": PASSWORD})).raise_for_status()
    login = await client.post(f"{API}/auth/login", json={"login": "ana0", "password": PASSWORD})
    client.headers["Authorization"] = f"Bearer {login.raise_for_status().json()['access_token']}"
    made = (await client.post(f"{API}/todos", json={"title": "Buy milk"})).raise_for_status().json()
    return f"{API}/todos/{made['id']}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--write", action="store_true", help="into docs/performance.md")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, Server(Path(folder)) as server:
        table = asyncio.run(measure(server.url, options.seconds))
    print(table)
    if options.write:
        report.write("logins", f"{report.machine()}\n\n{table}")


if __name__ == "__main__":
    main()
