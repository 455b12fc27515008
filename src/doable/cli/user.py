"""`doable user …`: what those who run the server may do to the people who use it."""

import json
import sys
from collections.abc import Callable, Coroutine, Iterable
from typing import Any

import click
from pydantic import TypeAdapter, ValidationError

from doable.accounts.operations import administration, registration
from doable.accounts.schemas import UserCreate
from doable.accounts.statements.users import UserRow
from doable.cli import database, examples, tables
from doable.cli.failures import Failure
from doable.core import clock
from doable.core.db import Database
from doable.core.errors import AppException, Code
from doable.core.passwords import Hasher
from doable.core.types import Email, Password, Username


class _Text(click.ParamType[str]):
    """What the API would accept for this field; somebody who is asked for it is asked again."""

    def __init__(self, name: str, kind: Any) -> None:
        self.name = name
        self._adapter: TypeAdapter[str] = TypeAdapter(kind)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        try:
            return self._adapter.validate_python(value)
        except ValidationError as error:
            self.fail(error.errors(include_url=False)[0]["msg"], param, ctx)


_password_from_stdin = click.option(
    "--password-stdin", is_flag=True, help="Read the password from standard input instead of asking for it."
)
_login = click.argument("login")


@click.group
def user() -> None:
    """Create people, list them, and change what they may do.

    A person is named by username or e-mail address.
    """


@user.command(
    epilog=examples.epilog(
        "doable user create --admin",
        "doable user create --email ana@example.com --username ana --password-stdin < password.txt",
    )
)
@click.option("--email", type=_Text("email", Email), prompt="E-mail", help="Asked for when it is left out.")
@click.option("--username", type=_Text("username", Username), prompt="Username", help="Likewise.")
@_password_from_stdin
@click.option("--admin", is_flag=True, help="Let them manage the other users.")
def create(email: str, username: str, *, password_stdin: bool, admin: bool) -> None:
    """Create a user and print the id.

    Works whatever REGISTRATION says. The address counts as verified.
    """
    password = _read_password(from_stdin=password_stdin)
    form = UserCreate(email=email, username=username, password=password, confirm_password=password)

    async def act(db: Database, hasher: Hasher) -> UserRow:
        return await registration.create_user(db, hasher, form, is_admin=admin)

    click.echo(_run(act).id)


@user.command("list", epilog=examples.epilog("doable user list", "doable user list --json"))
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")
def list_users(*, as_json: bool) -> None:
    """List all users."""

    async def act(db: Database, _: Hasher) -> list[UserRow]:
        return await administration.list_users(db)

    rows = _run(act)
    if as_json:
        click.echo(json.dumps([_fields(row) for row in rows], indent=2, ensure_ascii=False))
    else:
        click.echo(tables.render(("USERNAME", "E-MAIL", "ROLE", "STATE", "CREATED", "ID"), map(_cells, rows)))


@user.command(epilog=examples.epilog("doable user disable ana"))
@_login
def disable(login: str) -> None:
    """Lock somebody out; nothing of theirs is deleted.

    All their sessions end at once, and their API tokens are refused.
    """
    click.echo(f"{_change(login, disabled=True).username} is disabled.")


@user.command(epilog=examples.epilog("doable user enable ana"))
@_login
def enable(login: str) -> None:
    """Let somebody in again."""
    click.echo(f"{_change(login, disabled=False).username} is enabled.")


@user.command(epilog=examples.epilog("doable user promote ana@example.com"))
@_login
def promote(login: str) -> None:
    """Make somebody an administrator."""
    click.echo(f"{_change(login, is_admin=True).username} is an administrator.")


@user.command(epilog=examples.epilog("doable user demote ana"))
@_login
def demote(login: str) -> None:
    """Make an administrator an ordinary user.

    The last administrator stays one.
    """
    click.echo(f"{_change(login, is_admin=False).username} is no administrator.")


@user.command(
    "set-password",
    epilog=examples.epilog(
        "doable user set-password ana", "doable user set-password ana --password-stdin < password.txt"
    ),
)
@_login
@_password_from_stdin
def set_password(login: str, *, password_stdin: bool) -> None:
    """Give somebody a new password, and end their sessions."""
    password = _read_password(from_stdin=password_stdin)

    async def act(db: Database, hasher: Hasher) -> str:
        account = await administration.find(db, login)
        await administration.set_password(db, hasher, account, password)
        return account.username

    click.echo(f"{_run(act)} has a new password.")


def _change(login: str, *, is_admin: bool | None = None, disabled: bool | None = None) -> UserRow:
    async def act(db: Database, _: Hasher) -> UserRow:
        account = await administration.find(db, login)
        async with db.transaction() as tx:
            return await administration.change_standing(tx, account.id, is_admin=is_admin, disabled=disabled)

    return _run(act)


def _read_password(*, from_stdin: bool) -> str:
    kind = _Text("password", Password)
    if from_stdin:
        line = sys.stdin.readline().removesuffix("\n").removesuffix("\r")
        return kind.convert(line, None, None)
    if not sys.stdin.isatty():
        raise click.UsageError("There is nobody to ask for a password; give --password-stdin.")
    password: str = click.prompt("Password", hide_input=True, confirmation_prompt="Once more", type=kind)
    return password


def _run[T](act: Callable[[Database, Hasher], Coroutine[Any, Any, T]]) -> T:
    async def run(db: Database) -> T:
        hasher = Hasher()
        try:
            return await act(db, hasher)
        finally:
            hasher.close()

    try:
        return database.run(run)
    except AppException as refusal:
        raise Failure(*_sentences(refusal)) from None


def _sentences(refusal: AppException) -> Iterable[str]:
    """A refused field tells more than the message of the whole."""
    if refusal.code == Code.VALIDATION_ERROR and isinstance(refusal.details, list):
        return [str(detail["message"]) for detail in refusal.details]
    return [refusal.message]


def _fields(row: UserRow) -> dict[str, object]:
    return {
        "id": str(row.id),
        "username": row.username,
        "email": row.email,
        "email_verified": row.email_verified_at is not None,
        "is_admin": row.is_admin,
        "disabled_at": clock.iso(row.disabled_at) if row.disabled_at else None,
        "created_at": clock.iso(row.created_at),
    }


def _cells(row: UserRow) -> tuple[str, ...]:
    role = "admin" if row.is_admin else "user"
    state = "disabled" if row.disabled_at else "enabled"
    return row.username, row.email, role, state, f"{row.created_at:%Y-%m-%d}", str(row.id)
