"""docs/events.md shows each kind of event as it is told."""

import json
import re
from typing import Any

import pytest

from doable import features
from doable.todos.events import EventResponse
from tests.support import folding
from tests.support.documents import ROOT

KINDS = {kind: shape for feature in features.FEATURES for kind, shape in feature.events.items()}
PERSONAL = {kind: shape for feature in features.FEATURES for kind, shape in feature.personal_events.items()}
SECTION = re.compile(r"^### (\S+)\n\n\S.+?\n\n```json\n(.+?)\n```$", flags=re.MULTILINE | re.DOTALL)
EXAMPLES: dict[str, dict[str, Any]] = {
    kind: json.loads(example) for kind, example in SECTION.findall((ROOT / "docs" / "events.md").read_text())
}


def test_every_kind_is_documented_and_no_other() -> None:
    assert set(EXAMPLES) == {*KINDS, *PERSONAL}
    told = sum(len(feature.events) + len(feature.personal_events) for feature in features.FEATURES)
    assert len({*KINDS, *PERSONAL}) == told, "two features have one kind"


@pytest.mark.parametrize("kind", KINDS)
def test_an_example_has_the_shape_that_is_declared(kind: str) -> None:
    example = EXAMPLES[kind]
    assert example["kind"] == kind
    assert EventResponse.model_validate(example).model_dump(mode="json", by_alias=True) == example
    assert KINDS[kind].model_validate(example["data"]).model_dump(mode="json", by_alias=True) == example["data"]


@pytest.mark.parametrize("kind", PERSONAL)
def test_an_example_of_a_person_s_log_has_the_shape_that_is_declared(kind: str) -> None:
    example = EXAMPLES[kind]
    assert (example["kind"], example["list_id"]) == (kind, None)
    assert set(example) == set(EventResponse.model_fields)
    assert PERSONAL[kind].model_validate(example["data"]).model_dump(mode="json") == example["data"]


def test_the_examples_are_one_story() -> None:
    copy = folding.Copy()
    for event in EXAMPLES.values():
        if event["kind"] in KINDS:
            assert event["revision"] > copy.revision
            copy.revision = event["revision"] - 1  # a kind that comes twice in the story is shown once
            copy.apply(event)
    assert copy.todos == {}
    assert copy.home["version"] == 4


def test_the_answer_s_schema_names_every_kind() -> None:
    schema = EventResponse.model_json_schema(by_alias=True)
    assert set(schema["properties"]["kind"]["enum"]) == set(KINDS)
    shapes = {option["$ref"].rpartition("/")[2] for option in schema["properties"]["data"]["anyOf"]}
    assert shapes == {shape.__name__ for shape in KINDS.values()}
