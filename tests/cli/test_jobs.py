"""`doable jobs` and `doable mail` for those who run the server."""

import asyncio
import json
from pathlib import Path
from uuid import UUID

import pytest

from doable import runtime
from doable.core import post
from doable.core.mail import Mail
from tests.cli.conftest import Doable
from tests.support.addresses import free_port
from tests.support.configuration import make_settings


@pytest.fixture
def job_id(database_url: str, tmp_path: Path, doable_here: Doable) -> UUID:
    """A mail that waits to be sent, with a secret in it."""

    async def enqueue() -> None:
        db = runtime.open_database(make_settings(database_url, tmp_path))
        async with db.transaction() as tx:
            await post.write_to(tx, Mail("ana@example.com", "Hello", "a secret"))
        await db.close()

    asyncio.run(enqueue())
    (row,) = json.loads(doable_here("jobs", "list", "--json", DATABASE_URL=database_url).stdout)
    return UUID(row["id"])


def test_jobs_are_listed_shown_cancelled_and_retried(doable_here: Doable, database_url: str, job_id: UUID) -> None:
    listed = doable_here("jobs", "list", DATABASE_URL=database_url).stdout
    assert "mail.send" in listed
    assert "waiting" in listed
    shown = doable_here("jobs", "show", str(job_id), DATABASE_URL=database_url).stdout
    assert "state: waiting\nattempts: 0\n" in shown
    assert "secret" not in shown
    assert "as soon as" in doable_here("jobs", "retry", str(job_id), DATABASE_URL=database_url).stdout
    assert "cancelled" in doable_here("jobs", "cancel", str(job_id), DATABASE_URL=database_url).stdout
    assert str(job_id) not in doable_here("jobs", "list", DATABASE_URL=database_url).stdout
    assert str(job_id) in doable_here("jobs", "list", "--state", "cancelled", DATABASE_URL=database_url).stdout
    for verb in ("retry", "cancel"):
        refused = doable_here("jobs", verb, str(job_id), DATABASE_URL=database_url)
        assert (refused.returncode, "There is no job" in refused.stderr) == (1, True)


def test_mails_that_waited_in_a_backup_are_not_sent_again(doable_here: Doable, database_url: str, job_id: UUID) -> None:
    assert doable_here("db", "new-epoch", DATABASE_URL=database_url).returncode == 0
    assert "state: cancelled" in doable_here("jobs", "show", str(job_id), DATABASE_URL=database_url).stdout


def test_a_job_that_is_not_there_is_a_clear_line(doable_here: Doable, database_url: str) -> None:
    refused = doable_here("jobs", "show", str(UUID(int=1)), DATABASE_URL=database_url)
    assert (refused.returncode, refused.stderr) == (1, f"Error: There is no job {UUID(int=1)}.\n")


def test_a_mail_can_be_tried(doable_here: Doable, folder: Path) -> None:
    assert doable_here("mail", "test", "ana@example.com").returncode == 0
    (file,) = (folder / "data" / "mail").iterdir()
    assert b"this is a test" in file.read_bytes()


def test_a_mail_that_cannot_be_delivered_is_a_clear_line(doable_here: Doable) -> None:
    refused = doable_here("mail", "test", "ana@example.com", SMTP_URL=f"smtp://127.0.0.1:{free_port()}")
    assert (refused.returncode, "not delivered" in refused.stderr) == (69, True)
    refused = doable_here("mail", "test", "nobody")
    assert (refused.returncode, "ADDRESS" in refused.stderr) == (1, True)
