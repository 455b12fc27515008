"""How a command gives up: one clear line for each problem, and an exit code that a supervisor understands."""

import click

UNAVAILABLE = 69
"""Something that is needed does not answer; the same command may succeed later (`EX_UNAVAILABLE`)."""
MISCONFIGURED = 78
"""Trying again is useless until somebody changes a setting (`EX_CONFIG`)."""


class Failure(click.ClickException):
    def __init__(self, *problems: str, exit_code: int = 1) -> None:
        super().__init__("\nError: ".join(problems))
        self.exit_code = exit_code  # type: ignore[misc]  # click's own exceptions do the same
