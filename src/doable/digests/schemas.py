"""The wire shape of a digest's setting."""

from typing import Annotated

from pydantic import ConfigDict, Field, JsonValue

from doable.core.types import Input, Output, TimeIn

EXAMPLE: dict[str, JsonValue] = {"at": "07:30"}


class DigestUpdate(Input):
    model_config = ConfigDict(json_schema_extra={"examples": [EXAMPLE]})

    at: Annotated[TimeIn | None, Field(description="Each day at this time, in my time zone; `null`: never.")]


class DigestResponse(Output):
    model_config = ConfigDict(title="Digest", json_schema_extra={"examples": [EXAMPLE]})

    at: Annotated[str | None, Field(description="HH:MM in my time zone; null: I get none.", examples=["07:30"])]
