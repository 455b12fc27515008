"""How a mail looks: the same paragraphs as plain text and as HTML, with nothing in them that is read as markup."""

from html import escape
from string import Template
from typing import NamedTuple

from doable.core.mail import Mail
from doable.settings import Settings

_HTML = Template("""\
<!doctype html>
<html lang="en">
<body style="font-family: sans-serif; line-height: 1.5; max-width: 36em">
$paragraphs
<p style="color: #666666">-- <br>$app_name, <a href="$public_url">$public_url</a></p>
</body>
</html>
""")


class Link(NamedTuple):
    """A paragraph that is a link, to a page of this server."""

    url: str


def compose(settings: Settings, to: str, subject: str, *paragraphs: str | Link) -> Mail:
    texts = [part.url if isinstance(part, Link) else part for part in paragraphs]
    text = "\n\n".join(["Hello,", *texts, f"-- \n{settings.app_name}, {settings.public_url}"])
    html = _HTML.substitute(
        paragraphs="\n".join(map(_paragraph, ["Hello,", *paragraphs])),
        app_name=escape(settings.app_name),
        public_url=escape(settings.public_url),
    )
    return Mail(to=to, subject=f"{settings.app_name}: {subject}", text=f"{text}\n", html=html)


def link(settings: Settings, page: str, token: str) -> Link:
    """The token is in the fragment, which browsers send to nobody and servers never log."""
    return Link(f"{settings.public_url.rstrip('/')}/{page}#token={token}")


def _paragraph(part: str | Link) -> str:
    if isinstance(part, Link):
        return f'<p><a href="{escape(part.url)}">{escape(part.url)}</a></p>'
    return f"<p>{escape(part)}</p>"
