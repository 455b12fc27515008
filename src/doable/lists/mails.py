"""The mails of lists: see those of accounts."""

from doable.core import letters
from doable.core.letters import Link
from doable.core.mail import Mail
from doable.settings import Settings


def invitation(settings: Settings, email: str, inviter: str, token: str) -> Mail:
    """Without the list's name: what the inviter wrote is not sent to people who did not ask for it."""
    return letters.compose(
        settings,
        email,
        f"{inviter} shares a list with you",
        f"{inviter} would like to share a list with you. Look at it here:",
        link(settings, token),
        f"Or give your client this code: {token}",
        "It works once, for 7 days. You need an account on this server, with whatever address. If you do not know "
        f"{inviter}, ignore this mail: nothing will happen.",
    )


def link(settings: Settings, token: str) -> Link:
    """What accepts an invitation."""
    return letters.link(settings, "invitation", token)
