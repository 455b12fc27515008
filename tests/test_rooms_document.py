"""docs/rooms.md shows each message of rooms as it is sent, and its schema is the one that the server keeps to."""

import json
import re
from typing import Any

import pytest

from doable.realtime.schemas import CLIENT, SERVER
from tests.support.documents import ROOMS_SCHEMA, ROOT, rooms_schema

SECTION = re.compile(r"^### (Server|Client): (\S+)\n\n\S.+?\n\n```json\n(.+?)\n```$", flags=re.MULTILINE | re.DOTALL)
EXAMPLES = {
    (side, kind): json.loads(example) for side, kind, example in SECTION.findall((ROOT / "docs/rooms.md").read_text())
}
MODELS = {("Server", kind): model for kind, model in SERVER.items()} | {
    ("Client", kind): model for kind, model in CLIENT.items()
}


def test_every_message_is_documented_and_no_other() -> None:
    assert set(EXAMPLES) == set(MODELS)


@pytest.mark.parametrize("message", MODELS, ids=":".join)
def test_an_example_is_a_message_as_it_is_sent(message: tuple[str, str]) -> None:
    example: dict[str, Any] = EXAMPLES[message]
    parsed = MODELS[message].model_validate(example)
    assert parsed.model_dump(mode="json", by_alias=True) == example
    assert example["type"] == message[1]


def test_the_schema_is_that_of_the_messages() -> None:
    assert ROOMS_SCHEMA.read_text() == rooms_schema(), "run `make docs`"
