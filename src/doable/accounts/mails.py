"""The mails of accounts, with links only to the server's own public address."""

from doable.core import letters
from doable.core.mail import Mail
from doable.settings import Settings


def verification(settings: Settings, email: str, token: str) -> Mail:
    return letters.compose(
        settings,
        email,
        "Confirm your e-mail address",
        "please confirm that this address is yours:",
        letters.link(settings, "verify-email", token),
        f"Or give your client this code: {token}",
        "It works once, for 24 hours. If you did not ask for it, ignore this mail.",
    )


def reset(settings: Settings, email: str, token: str) -> Mail:
    return letters.compose(
        settings,
        email,
        "Set a new password",
        "somebody, hopefully you, asked for a new password. Set it here:",
        letters.link(settings, "reset-password", token),
        f"Or give your client this code: {token}",
        "It works once, for 10 minutes. If you did not ask for it, ignore this mail: nothing has changed.",
    )


def already_registered(settings: Settings, email: str) -> Mail:
    return letters.compose(
        settings,
        email,
        "Somebody tried to register with your address",
        "somebody tried to register an account with this address, which has one already.",
        "If that was you, log in, or set a new password if you have forgotten it. If not, there is nothing to do.",
    )


def email_changed(settings: Settings, old_email: str) -> Mail:
    return letters.compose(
        settings,
        old_email,
        "The e-mail address of your account has changed",
        "your account now has another e-mail address; this one is no longer used.",
        "If that was not you, tell the people who run this server at once.",
    )
