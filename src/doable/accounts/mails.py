"""The mails of accounts: plain text, with links only to the server's own public address."""

from doable.core.mail import Mail
from doable.settings import Settings


def verification(settings: Settings, email: str, token: str) -> Mail:
    return mail(
        settings,
        email,
        "Confirm your e-mail address",
        "please confirm that this address is yours:",
        link(settings, "verify-email", token),
        f"Or give your client this code: {token}",
        "It works once, for 24 hours. If you did not ask for it, ignore this mail.",
    )


def reset(settings: Settings, email: str, token: str) -> Mail:
    return mail(
        settings,
        email,
        "Set a new password",
        "somebody, hopefully you, asked for a new password. Set it here:",
        link(settings, "reset-password", token),
        f"Or give your client this code: {token}",
        "It works once, for 10 minutes. If you did not ask for it, ignore this mail: nothing has changed.",
    )


def already_registered(settings: Settings, email: str) -> Mail:
    return mail(
        settings,
        email,
        "Somebody tried to register with your address",
        "somebody tried to register an account with this address, which has one already.",
        "If that was you, log in, or set a new password if you have forgotten it. If not, there is nothing to do.",
    )


def email_changed(settings: Settings, old_email: str) -> Mail:
    return mail(
        settings,
        old_email,
        "The e-mail address of your account has changed",
        "your account now has another e-mail address; this one is no longer used.",
        "If that was not you, tell the people who run this server at once.",
    )


def mail(settings: Settings, to: str, subject: str, *paragraphs: str) -> Mail:
    text = "\n\n".join(["Hello,", *paragraphs, f"-- \n{settings.app_name}, {settings.public_url}"])
    return Mail(to=to, subject=f"{settings.app_name}: {subject}", text=f"{text}\n")


def link(settings: Settings, page: str, token: str) -> str:
    """The token is in the fragment, which browsers send to nobody and servers never log."""
    return f"{settings.public_url.rstrip('/')}/{page}#token={token}"
