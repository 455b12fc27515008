"""`doable jobs …`: what the server has left to do in the background, and what could not be done."""

import json
from uuid import UUID

import click

from doable.cli import database, examples, tables
from doable.cli.failures import Failure
from doable.core import clock
from doable.core.db import Database
from doable.core.jobs import inspection
from doable.core.jobs.statements import JobRow
from doable.core.jobs.tables import DEAD, RUNNING, STATES, WAITING

_job_id = click.argument("job_id", type=click.UUID)


@click.group
def jobs() -> None:
    """Look at the background work.

    What has failed too often is dead: it waits for somebody to look at it, for 30 days.
    """


@jobs.command("list", epilog=examples.epilog("doable jobs list", "doable jobs list --state dead --json"))
@click.option("--state", "states", multiple=True, type=click.Choice(STATES), help="Only these; again for more.")
@click.option("--most", default=100, show_default=True, type=click.IntRange(1, 10_000), help="So many, the newest.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")
def list_jobs(states: tuple[str, ...], most: int, *, as_json: bool) -> None:
    """List jobs; those that wait, run or are dead unless --state says otherwise."""

    async def act(db: Database) -> list[JobRow]:
        return await inspection.newest(db.reads, states or (WAITING, RUNNING, DEAD), most)

    rows = database.run(act)
    if as_json:
        click.echo(json.dumps([_fields(row) for row in rows], indent=2, ensure_ascii=False))
    else:
        click.echo(tables.render(("NAME", "STATE", "ATTEMPTS", "RUNS AT", "ERROR", "ID"), map(_cells, rows)))


@jobs.command(epilog=examples.epilog("doable jobs show 01a20470-d26a-7605-895f-d7f4f99501ec"))
@_job_id
def show(job_id: UUID) -> None:
    """Show all that is known of a job but what it was given, which may be secret."""

    async def act(db: Database) -> JobRow:
        row = await inspection.find(db.reads, job_id)
        if row is None:
            raise Failure(f"There is no job {job_id}.")
        return row

    for name, value in _fields(database.run(act)).items():
        click.echo(f"{name}: {'' if value is None else value}")


@jobs.command(epilog=examples.epilog("doable jobs retry 01a20470-d26a-7605-895f-d7f4f99501ec"))
@_job_id
def retry(job_id: UUID) -> None:
    """Run a dead job again, or a waiting one at once.

    Not a dead mail: its text, which may hold a secret, is forgotten.
    """

    async def act(db: Database) -> bool:
        async with db.transaction() as tx:
            return await inspection.retry(tx, job_id)

    _require(job_id, "that waits, or is dead and no mail", done=database.run(act))
    click.echo(f"{job_id} runs as soon as a worker is free.")


@jobs.command(epilog=examples.epilog("doable jobs cancel 01a20470-d26a-7605-895f-d7f4f99501ec"))
@_job_id
def cancel(job_id: UUID) -> None:
    """Never run a waiting or a dead job; one that comes again and again not until a server starts."""

    async def act(db: Database) -> bool:
        async with db.transaction() as tx:
            return await inspection.cancel(tx, job_id)

    _require(job_id, "that waits or is dead", done=database.run(act))
    click.echo(f"{job_id} is cancelled.")


def _require(job_id: UUID, which: str, *, done: bool) -> None:
    if not done:
        raise Failure(f"There is no job {job_id} {which}.")


def _fields(row: JobRow) -> dict[str, object]:
    return {
        "id": str(row.id),
        "name": row.name,
        "queue": row.queue,
        "state": row.state,
        "attempts": row.attempts,
        "key": row.key,
        "run_at": clock.iso(row.run_at),
        "created_at": clock.iso(row.created_at),
        "finished_at": clock.iso(row.finished_at) if row.finished_at else None,
        "error": row.error,
    }


def _cells(row: JobRow) -> tuple[str, ...]:
    return row.name, row.state, str(row.attempts), clock.iso(row.run_at), row.error or "", str(row.id)
