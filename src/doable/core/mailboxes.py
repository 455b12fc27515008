"""When two e-mail addresses are one: for a unique column, and for what a mailbox has proved."""

from email_validator import EmailNotValidError, ValidatedEmail, validate_email

from doable.core import text


def email_key(address: str) -> str:
    """Equal for addresses that one account may have only once; wider than `mailbox`, so no look-alike can register.

    What is no address has a key too, which no account has.
    """
    try:
        parts = _parts(address)
    except EmailNotValidError:
        return text.key(address)
    return f"{text.key(parts.local_part)}@{parts.ascii_domain}"


def mailbox(address: str) -> str:
    """Equal only for addresses to which mail arrives in one place: what one has proved, the other has.

    Case of ASCII letters is the exception; no server is known that tells `Ana@` from `ana@`.
    """
    parts = _parts(address)
    local = "".join(letter.lower() if letter.isascii() else letter for letter in parts.local_part)
    return f"{local}@{parts.ascii_domain}"


def _parts(address: str) -> ValidatedEmail:
    return validate_email(address, check_deliverability=False)
