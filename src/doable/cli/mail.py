"""`doable mail …`: whether mail arrives."""

import asyncio

import click

from doable.cli import environment, examples
from doable.cli.failures import UNAVAILABLE, Failure
from doable.core import clock, ids, letters
from doable.core.mail import Mailer, NotDelivered


@click.group
def mail() -> None:
    """Find out whether mail arrives."""


@mail.command(epilog=examples.epilog("doable mail test ana@example.com"))
@click.argument("address")
def test(address: str) -> None:
    """Send a mail to ADDRESS at once, and say how it went.

    Without SMTP_URL it becomes a file in DATA_DIR/mail.
    """
    settings = environment.read_settings()
    environment.prepare_folders(settings)
    try:
        written = letters.compose(settings, address, "Test", "this is a test: mail of this server arrives.")
    except ValueError as error:
        raise Failure(f"ADDRESS: {error}") from None
    try:
        asyncio.run(Mailer(settings).deliver(written, ids.new_id(), clock.now()))
    except NotDelivered as error:
        raise Failure(f"The mail was not delivered: {error}", exit_code=UNAVAILABLE) from None
    click.echo("The mail is on its way." if settings.smtp_url else f"The mail is in {settings.data_dir / 'mail'}.")
