"""What an event says of changed fields: what was there before, and what is there after it."""

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import ConfigDict, Field

from doable.core.types import Output

UNSAID = frozenset({"version", "updated_at"})
"""They change with every event."""


class FieldChange(Output):
    model_config = ConfigDict(json_schema_extra={"examples": [{"from": "Buy milk", "to": "Buy oat milk"}]})

    before: Annotated[Any, Field(alias="from")]
    after: Annotated[Any, Field(alias="to")]


Changes = Annotated[
    dict[str, FieldChange],
    Field(description="By the name of the field; never `version` and `updated_at`, which change with every event."),
]


def between(before: Mapping[str, object], after: Mapping[str, object]) -> dict[str, dict[str, object]]:
    """The fields, as they are on the wire, that differ."""
    return {
        name: {"from": before[name], "to": value}
        for name, value in after.items()
        if before[name] != value and name not in UNSAID
    }
