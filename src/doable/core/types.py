"""The annotated types and base classes that request and answer models are made of.

Types of input take what the wire has, a `str` for all that JSON has no type for, and nothing else: Pydantic alone
reads numbers as dates and, when strict, refuses each id and date of a body that has been parsed before.
"""

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from typing import Annotated, Any, Literal
from uuid import UUID

from email_validator import EmailNotValidError, validate_email
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    PlainSerializer,
    PlainValidator,
    Strict,
    ValidationError,
    WithJsonSchema,
)
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, PydanticCustomError, PydanticKnownError, SchemaValidator, core_schema

from doable.core import clock, text, zones

FIRST_YEAR = 1970
MAX_INT31 = 2**31 - 1
MAX_EMAIL = 254
MIN_PASSWORD = 8
MAX_PASSWORD = 128
MAX_PRESENTED_PASSWORD = 4096

# What is trimmed: spaces and line ends, but no control character that merely counts as white space.
_SPACE = "\t\n\r" + "".join(char for char in map(chr, range(0x3001)) if unicodedata.category(char) == "Zs")
# Pydantic alone takes other notations of an id, too.
_UUID_FORM = core_schema.str_schema(strict=True, pattern="^[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}$")
_UUID = SchemaValidator(core_schema.chain_schema([_UUID_FORM, core_schema.uuid_schema()]))
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_TIME = re.compile(r"([01][0-9]|2[0-3]):[0-5][0-9]")
_INSTANT = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt]([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\.[0-9]{1,9})?"
    r"([Zz]|[+-]([01][0-9]|2[0-3]):[0-5][0-9])"
)
_COLOR = re.compile(r"#[0-9A-Fa-f]{6}")
_INSTANT_EXAMPLE = "2026-11-22T08:41:52.123Z"
_UUID_EXAMPLE = "019aaaf2-1c7b-7d3e-9a51-2f4c8d6b0e13"


class Input(BaseModel):
    """A body or a part of one. Unknown members are refused and nothing is converted.

    Neither `repr` nor errors show values: logs and traces have both, and a body may hold a password. An enumeration is
    a `Literal`; strict Pydantic wants the member of an `Enum`, which JSON does not have.
    """

    model_config = ConfigDict(extra="forbid", strict=True, hide_input_in_errors=True)

    def __repr_args__(self) -> Iterable[tuple[str | None, Any]]:
        return [(None, name) for name in changes(self)]


class Output(BaseModel):
    """An answer or a part of one: every declared key, always, and no other."""

    model_config = ConfigDict(extra="forbid", from_attributes=True, json_schema_serialization_defaults_required=True)


def absent() -> Any:
    """The default of a field that a PATCH may leave out though `null` is refused.

        name: Name = absent()
        color: Color | None = None  # `null` clears this one

    Both are read through `changes`.
    """
    return Field(default_factory=_nothing)


def changes(body: BaseModel) -> dict[str, Any]:
    """The members that were sent, in the order of their declaration; `None` only where `null` was sent."""
    sent = body.model_fields_set
    return {name: value for name, value in vars(body).items() if name in sent}


@dataclass(frozen=True, slots=True)
class Line:
    """A string in one line, trimmed, NFC, not empty: `Title = Annotated[str, Line(200)]`. Lengths are code points.

    `bidi=False` for names, which stand beside the words of others and may not reorder them.
    """

    max_length: int
    min_length: int = 1
    bidi: bool = True

    def __get_pydantic_core_schema__(self, _source: object, _handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_after_validator_function(self._read, core_schema.str_schema(strict=True))

    def __get_pydantic_json_schema__(self, _schema: CoreSchema, _handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return {"type": "string", "minLength": self.min_length, "maxLength": self.max_length, "pattern": r"\S"}

    def _read(self, value: str) -> str:
        line = _normal(value.strip(_SPACE), self.min_length, self.max_length, bidi=self.bidi)
        if text.blank(line):
            raise PydanticCustomError("blank", "The text must have something to see in it.")
        return line


@dataclass(frozen=True, slots=True)
class Note:
    """A text of several lines, NFC, else kept as it is but for the line ends of Windows. It may be empty."""

    max_length: int

    def __get_pydantic_core_schema__(self, _source: object, _handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_after_validator_function(self._read, core_schema.str_schema(strict=True))

    def __get_pydantic_json_schema__(self, _schema: CoreSchema, _handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return {"type": "string", "maxLength": self.max_length}

    def _read(self, value: str) -> str:
        return _normal(value.replace("\r\n", "\n"), 0, self.max_length, lines=True)


def _nothing() -> Any:
    return None


def _normal(value: str, shortest: int, longest: int, *, lines: bool = False, bidi: bool = True) -> str:
    """Lengths come first, so that a long text costs nothing, and again when they are final."""
    if len(value) > longest * text.GROWTH:
        raise PydanticKnownError("string_too_long", {"max_length": longest})
    if (fault := text.fault(value, lines=lines, bidi=bidi)) is not None:
        raise PydanticCustomError("forbidden_character", "{fault}", {"fault": fault})
    normal = text.clean(value)
    if len(normal) > longest:
        raise PydanticKnownError("string_too_long", {"max_length": longest})
    if len(normal) < shortest:
        raise PydanticKnownError("string_too_short", {"min_length": shortest})
    return normal


def _string(value: object) -> str:
    if not isinstance(value, str):
        raise PydanticKnownError("string_type")
    return value


def _uuid(value: object) -> UUID:
    try:
        read: UUID = _UUID.validate_python(value)
    except ValidationError:
        _string(value)
        raise PydanticCustomError(
            "uuid_parsing", "The id must be a UUID such as {example}.", {"example": _UUID_EXAMPLE}
        ) from None
    return read


def _not_nil(value: UUID) -> UUID:
    if value.int == 0:
        raise PydanticCustomError("uuid_nil", "The nil UUID is no id.")
    return value


def _instant(value: object) -> datetime:
    if _INSTANT.fullmatch(written := _string(value)):
        try:
            instant = datetime.fromisoformat(written.upper()).astimezone(UTC)
        except (ValueError, OverflowError):
            pass
        else:
            if instant.year >= FIRST_YEAR:
                return instant.replace(microsecond=instant.microsecond // 1000 * 1000)
    raise PydanticCustomError(
        "instant",
        "The instant must be RFC 3339 with an offset, such as {example}, in the years {first} to 9999.",
        {"example": _INSTANT_EXAMPLE, "first": FIRST_YEAR},
    )


def _date(value: object) -> date:
    if _DATE.fullmatch(written := _string(value)):
        try:
            day = date.fromisoformat(written)
        except ValueError:
            pass
        else:
            if day.year >= FIRST_YEAR:
                return day
    raise PydanticCustomError(
        "date", "The date must be YYYY-MM-DD, in the years {first} to 9999.", {"first": FIRST_YEAR}
    )


def _time(value: object) -> time:
    if not _TIME.fullmatch(written := _string(value)):
        raise PydanticCustomError("time", "The time must be HH:MM, from 00:00 to 23:59.")
    return time.fromisoformat(written)


def _digits(value: object) -> object:
    if isinstance(value, str) and not (value.isascii() and value.removeprefix("-").isdigit()):
        raise PydanticKnownError("int_parsing")
    return value


def _color(value: str) -> str:
    if not _COLOR.fullmatch(value):
        raise PydanticCustomError("color", "The color must be # and six hexadecimal digits.")
    return value.lower()


def _zone(value: str) -> str:
    if value not in zones.NAMES:
        raise PydanticCustomError("timezone", "The time zone must be an IANA name such as Europe/Zagreb.")
    return value


def _email(value: str) -> str:
    address = _normal(value, 3, MAX_EMAIL)
    try:
        validate_email(address, check_deliverability=False, strict=True)
    except EmailNotValidError as error:
        raise PydanticCustomError("email", "{reason}", {"reason": str(error)}) from None
    return address


def _username(value: str) -> str:
    name = _normal(value, 3, 50)
    if (fault := text.name_fault(name)) is not None:
        raise PydanticCustomError("username", "{fault}", {"fault": fault})
    return name


def _new_password(value: str) -> str:
    return _normal(value, MIN_PASSWORD, MAX_PASSWORD)


def _password(value: str) -> str:
    if len(value) > MAX_PRESENTED_PASSWORD:
        raise PydanticKnownError("string_too_long", {"max_length": MAX_PRESENTED_PASSWORD})
    return value if text.fault(value) is not None else text.clean(value)


def _schema(kind: str | None = None, **members: Any) -> WithJsonSchema:
    return WithJsonSchema({"type": "string", **({"format": kind} if kind else {}), **members})


UuidStr = Annotated[UUID, PlainValidator(_uuid), _schema("uuid", examples=[_UUID_EXAMPLE])]
"""An id in a path or a reference in a body."""
NewUuid = Annotated[UUID, PlainValidator(_uuid), AfterValidator(_not_nil), _schema("uuid", examples=[_UUID_EXAMPLE])]
"""An id that a client has made: any version but nil."""
InstantIn = Annotated[
    datetime, PlainValidator(_instant), _schema("date-time", examples=["2026-11-22T09:41:52.123+01:00"])
]
InstantOut = Annotated[
    datetime, PlainSerializer(clock.iso, return_type=str), _schema("date-time", examples=[_INSTANT_EXAMPLE])
]
DateIn = Annotated[date, PlainValidator(_date), _schema("date", examples=["2026-11-22"])]
TimeIn = Annotated[time, PlainValidator(_time), _schema(pattern=rf"^{_TIME.pattern}$", examples=["14:30"])]
Int31 = Annotated[int, Strict(), Field(ge=0, le=MAX_INT31)]
Digits = Annotated[int, BeforeValidator(_digits)]
"""An integer of a query: digits and nothing else, where Python would also read ` 1_0`."""
Flag = Literal["true", "false"]
"""A boolean of a query."""
Color = Annotated[str, Strict(), AfterValidator(_color), _schema(pattern="^#[0-9A-Fa-f]{6}$", examples=["#1e90ff"])]
Timezone = Annotated[str, Strict(), AfterValidator(_zone), _schema(maxLength=64, examples=["Europe/Zagreb"])]
Email = Annotated[
    str, Strict(), AfterValidator(_email), _schema("email", maxLength=MAX_EMAIL, examples=["ana@example.com"])
]
"""As typed, in NFC. Whether it can be reached is not asked; compare by `core.mailboxes`."""
Username = Annotated[str, Strict(), AfterValidator(_username), _schema(minLength=3, maxLength=50, examples=["ana"])]
"""Its rules are `text.name_fault`'s; without '@', so that a login that has one is an e-mail address."""
Password = Annotated[
    str,
    Strict(),
    AfterValidator(_new_password),
    _schema("password", minLength=MIN_PASSWORD, maxLength=MAX_PASSWORD, examples=["correct horse battery"]),
]
"""A password to be set. Nothing is trimmed; `passwords.weakness` is asked after it."""
PresentedPassword = Annotated[
    str,
    Strict(),
    AfterValidator(_password),
    _schema("password", maxLength=MAX_PRESENTED_PASSWORD, examples=["correct horse battery"]),
]
"""A password to be compared: one that could never have been set is wrong, not invalid, and costs as much."""
