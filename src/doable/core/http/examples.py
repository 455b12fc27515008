"""How each schema of the OpenAPI document gets an example: its own made whole, or one made of those of its parts."""

from typing import Any

type Schema = dict[str, Any]
type Schemas = dict[str, Schema]


def complete(schemas: Schemas) -> None:
    """Give every schema an example, where its own or those of its parts suffice for one."""
    for schema in schemas.values():
        try:
            schema["examples"] = [_example(schema, schemas)]
        except LookupError:
            continue


def resolved(schema: Schema, schemas: Schemas) -> Schema:
    """The schema that a `$ref` means, and of a `T | null` the T."""
    if "$ref" in schema:
        return {**resolved(schemas[schema["$ref"].rpartition("/")[2]], schemas), **schema}
    options = [option for option in schema.get("anyOf", ()) if option.get("type") != "null"]
    return {**resolved(options[0], schemas), **schema} if len(options) == 1 else schema


def _example(schema: Schema, schemas: Schemas) -> object:
    """Raises `LookupError` when a part says too little."""
    schema = resolved(schema, schemas)
    if "examples" in schema:
        return _whole(schema["examples"][0], schema, schemas)
    for key in ("const", "default"):
        if key in schema:
            return schema[key]
    if "enum" in schema:
        return schema["enum"][0]
    if schema.get("type") == "array":
        return [_example(schema["items"], schemas)]
    return {name: _example(part, schemas) for name, part in schema["properties"].items()}


def _whole(value: object, schema: Schema, schemas: Schemas) -> object:
    """`value` with its nulls, which FastAPI drops from examples: a member that must be there, and is not, was null."""
    schema = resolved(_fitting(value, schema, schemas), schemas)
    if isinstance(value, list):
        return [_whole(item, schema.get("items", {}), schemas) for item in value]
    if not isinstance(value, dict) or "properties" not in schema:
        return value
    parts, required = schema["properties"], schema.get("required", ())
    known = {name: _whole(value.get(name), parts[name], schemas) for name in parts if name in value or name in required}
    return {**known, **{name: item for name, item in value.items() if name not in parts}}


def _fitting(value: object, schema: Schema, schemas: Schemas) -> Schema:
    """Of a union, the first part that has all members of `value`."""
    options = [resolved(option, schemas) for option in schema.get("anyOf", ())]
    names = set(value) if isinstance(value, dict) else set()
    return next((option for option in options if names and names <= set(option.get("properties", ()))), schema)
