"""What documents say of the settings, written from the settings. `make docs` puts it into the files."""

import json
import textwrap
from pathlib import Path

from pydantic.fields import FieldInfo
from pydantic.json_schema import JsonSchemaMode, models_json_schema

from doable.realtime.schemas import CLIENT, SERVER
from doable.settings import Settings

ROOT = Path(__file__).parent.parent.parent
README = ROOT / "README.md"
ROOMS_SCHEMA = ROOT / "docs" / "rooms.schema.json"
ENV_EXAMPLE = ROOT / ".env.example"
BEGIN = "<!-- settings: written by `make docs` -->"
END = "<!-- end of settings -->"


def settings_table() -> str:
    """The table of README.md, markers included."""
    rows = [
        f"| `{name.upper()}` | {f'`{default}`' if (default := _default(field)) else ''} | {field.description} |"
        for name, field in Settings.model_fields.items()
    ]
    return "\n".join([BEGIN, "| variable | default | meaning |", "|---|---|---|", *rows, END])


def env_example() -> str:
    """All of `.env.example`: every setting, commented out, at its default."""
    head = "# Every setting with its default. Copy to .env and take the # from what you change.\n"
    entries = [
        textwrap.fill(field.description or "", 110, initial_indent="# ", subsequent_indent="# ")
        + f"\n#{name.upper()}={_quoted(_default(field))}\n"
        for name, field in Settings.model_fields.items()
    ]
    return "\n".join([head, *entries])


def _default(field: FieldInfo) -> str:
    match field.default:
        case None | ():
            return ""
        case bool(value):
            return str(value).lower()
        case value:
            return str(value)


def _quoted(value: str) -> str:
    return f'"{value}"' if set(value) & set(" <>#") else value


def rooms_schema() -> str:
    """All of docs/rooms.schema.json: each message of rooms."""
    sides = {"server": SERVER, "client": CLIENT}
    models = [(model, _mode(side)) for side in sides for model in sides[side].values()]
    keys, schema = models_json_schema(models, ref_template="#/$defs/{model}")
    messages = {side: {kind: keys[model, _mode(side)] for kind, model in sides[side].items()} for side in sides}
    return json.dumps({**messages, **schema}, indent=2, ensure_ascii=False) + "\n"


def _mode(side: str) -> JsonSchemaMode:
    return "serialization" if side == "server" else "validation"


def write() -> None:
    ROOMS_SCHEMA.write_text(rooms_schema())
    ENV_EXAMPLE.write_text(env_example())
    text = README.read_text()
    if BEGIN in text:
        before, _, rest = text.partition(BEGIN)
        README.write_text(before + settings_table() + rest.partition(END)[2])


if __name__ == "__main__":
    write()
