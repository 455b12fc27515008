"""What the fields of requests accept and refuse, what answers look like, and how both are described."""

# ruff: noqa: RUF001 — characters that look like others are what is tested

import json
import time
from datetime import UTC, date, datetime
from datetime import time as time_of_day
from typing import Annotated, Any, Literal, NamedTuple
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import Field, TypeAdapter, ValidationError

from doable.core import clock, types

Title = Annotated[str, types.Line(20)]
Name = Annotated[str, types.Line(20, bidi=False)]
Text = Annotated[str, types.Note(20)]

ID = "019aaaf2-1c7b-7d3e-9a51-2f4c8d6b0e13"
NO_STRINGS: list[object] = [None, True, 7, 1.5, [], {}, b"bytes", ["a"]]


def read(kind: Any, value: object) -> Any:
    return TypeAdapter(kind).validate_python(value)


def refusal(kind: Any, value: object) -> str:
    with pytest.raises(ValidationError) as refused:
        read(kind, value)
    (error,) = refused.value.errors()
    return error["type"]


@pytest.mark.parametrize("value", NO_STRINGS)
@pytest.mark.parametrize(
    "kind",
    [
        *[Title, Text, types.UuidStr, types.NewUuid, types.InstantIn, types.DateIn, types.TimeIn],
        *[types.Color, types.Timezone, types.Email, types.Username, types.Password, types.PresentedPassword],
    ],
)
def test_a_string_is_never_made_of_something_else(kind: Any, value: object) -> None:
    assert refusal(kind, value) == "string_type"


# Lines and notes


@pytest.mark.parametrize(
    ("written", "stored"),
    [
        ("Buy milk", "Buy milk"),
        ("  Buy milk\n", "Buy milk"),
        ("\u3000Milch\u00a0", "Milch"),
        ("e\u0301", "é"),
        ("e\u0301" * 20, "é" * 20),
        (" " * 5000 + "a" + " " * 5000, "a"),
        ("👩‍👩‍👧", "👩‍👩‍👧"),
        ("a\u200bb", "a\u200bb"),
        ("<script>", "<script>"),
    ],
)
def test_a_line_is_trimmed_and_composed(written: str, stored: str) -> None:
    assert read(Title, written) == stored


@pytest.mark.parametrize(
    ("written", "why"),
    [
        ("", "string_too_short"),
        (" \t\n", "string_too_short"),
        ("\u200b\u200d", "blank"),
        ("\u3164", "blank"),
        ("a" * 21, "string_too_long"),
        ("é" * 21, "string_too_long"),
        ("\u0958" * 11, "string_too_long"),  # composes to two each
        ("a\nb", "forbidden_character"),
        ("a\tb", "forbidden_character"),
        ("a\x00b", "forbidden_character"),
        ("\x00", "forbidden_character"),
        ("a\ud800b", "forbidden_character"),
        ("a\x1b[31m", "forbidden_character"),
        ("a\uffff", "forbidden_character"),
    ],
)
def test_a_line_that_is_refused(written: str, why: str) -> None:
    assert refusal(Title, written) == why


def test_a_name_does_not_reorder_what_stands_beside_it() -> None:
    assert refusal(Name, "abc\u202edcba") == "forbidden_character"
    assert read(Title, "abc\u202edcba") == "abc\u202edcba"
    assert read(Name, "שלום\u200f") == "שלום\u200f"


@settings(deadline=None)
@given(st.text(max_size=40))
def test_a_stored_line_reads_as_itself(written: str) -> None:
    try:
        line = read(Title, written)
    except ValidationError:
        return
    assert read(Title, line) == line == line.strip()
    assert 1 <= len(line) <= 20
    assert "\x00" not in line
    line.encode()


@pytest.mark.parametrize(
    ("written", "stored"),
    [
        ("", ""),
        (" a \n\tb ", " a \n\tb "),
        ("a\r\nb\r\n", "a\nb\n"),
        ("e\u0301", "é"),
        ("a\u202eb\u202c", "a\u202eb\u202c"),
    ],
)
def test_a_note_is_kept_as_it_is(written: str, stored: str) -> None:
    assert read(Text, written) == stored


@pytest.mark.parametrize("written", ["a" * 21, "a\rb", "a\x00", "\udfff", "\x85", "\ufdd0"])
def test_a_note_that_is_refused(written: str) -> None:
    assert refusal(Text, written) in {"string_too_long", "forbidden_character"}


@pytest.mark.parametrize("kind", [Title, Text, types.Email, types.Username, types.Password])
@pytest.mark.parametrize("piece", ["a", "\u0316\u0301", "@", "a.", "a\x00"])
def test_a_huge_text_is_refused_at_once_and_for_its_length(kind: Any, piece: str) -> None:
    huge = piece * 1_000_000
    before = time.process_time()
    assert refusal(kind, huge) == "string_too_long"
    assert time.process_time() - before < 0.5


# Ids


@pytest.mark.parametrize("kind", [types.UuidStr, types.NewUuid])
@pytest.mark.parametrize(
    "written", [ID, ID.upper(), "ffffffff-ffff-ffff-ffff-ffffffffffff", "00000000-0000-1000-8000-000000000000"]
)
def test_an_id_is_a_uuid_of_any_version(kind: Any, written: str) -> None:
    assert read(kind, written) == UUID(written)


@pytest.mark.parametrize(
    "written",
    [
        *["", "x", "1", ID[:-1], ID + "0", ID.replace("-", ""), f"{{{ID}}}", f"urn:uuid:{ID}", f" {ID}", f"{ID}\n"],
        *[ID.replace("0", "٠"), ID.replace("0", "g"), ID.replace("-", "\u2010"), "../" + ID, ID.replace("-", "_")],
    ],
)
def test_an_id_has_one_form(written: str) -> None:
    assert refusal(types.UuidStr, written) == "uuid_parsing"


def test_no_client_makes_the_nil_id() -> None:
    nil = str(UUID(int=0))
    assert refusal(types.NewUuid, nil) == "uuid_nil"
    assert read(types.UuidStr, nil) == UUID(int=0)


# Instants, dates, times


@pytest.mark.parametrize(
    ("written", "instant"),
    [
        ("2026-11-22T08:41:52Z", datetime(2026, 11, 22, 8, 41, 52, tzinfo=UTC)),
        ("2026-11-22t08:41:52z", datetime(2026, 11, 22, 8, 41, 52, tzinfo=UTC)),
        ("2026-11-22T09:41:52.1239+01:00", datetime(2026, 11, 22, 8, 41, 52, 123000, tzinfo=UTC)),
        ("2026-11-22T08:41:52.999999999-00:00", datetime(2026, 11, 22, 8, 41, 52, 999000, tzinfo=UTC)),
        ("1970-01-01T00:00:00Z", datetime(1970, 1, 1, tzinfo=UTC)),
        ("1969-12-31T23:30:00-00:30", datetime(1970, 1, 1, tzinfo=UTC)),
        ("9999-12-31T23:59:59.999Z", datetime(9999, 12, 31, 23, 59, 59, 999000, tzinfo=UTC)),
        ("2024-02-29T00:00:00+23:59", datetime(2024, 2, 28, 0, 1, tzinfo=UTC)),
    ],
)
def test_an_instant_becomes_utc_in_milliseconds(written: str, instant: datetime) -> None:
    read_instant = read(types.InstantIn, written)
    assert read_instant == instant
    assert read_instant.tzinfo is UTC


@pytest.mark.parametrize(
    "written",
    [
        *[
            "0001-01-01T00:00:00+23:59",
            "9999-12-31T23:59:59-23:59",
            "1969-12-31T23:59:59Z",
            "1970-01-01T00:00:00+00:01",
        ],
        *["0000-01-01T00:00:00Z", "10000-01-01T00:00:00Z", "-2026-01-01T00:00:00Z", "+002026-01-01T00:00:00Z"],
        *[
            "2026-11-22T08:41:52",
            "2026-11-22",
            "2026-11-22 08:41:52Z",
            "2026-11-22T08:41Z",
            "20261122T084152Z",
            "2026-W47-7",
        ],
        *["2026-11-22T08:41:60Z", "2016-12-31T23:59:60Z", "2026-11-22T24:00:00Z", "2026-11-22T08:60:00Z"],
        *["2026-02-29T00:00:00Z", "2026-13-01T00:00:00Z", "2026-00-10T00:00:00Z", "2026-04-31T00:00:00Z"],
        *[
            "2026-11-22T08:41:52+24:00",
            "2026-11-22T08:41:52+01:60",
            "2026-11-22T08:41:52+01",
            "2026-11-22T08:41:52+0100",
        ],
        *[
            "2026-11-22T08:41:52.Z",
            "2026-11-22T08:41:52,5Z",
            "2026-11-22T08:41:52.1234567890Z",
            "2026-11-22T08:41:52Z\n",
        ],
        *[
            "253402300800",
            "1764000000",
            "1e9",
            "now",
            "infinity",
            "-infinity",
            "",
            "٢٠٢٦-11-22T08:41:52Z",
            " 2026-11-22T08:41:52Z",
        ],
    ],
)
def test_an_instant_that_is_refused(written: str) -> None:
    assert refusal(types.InstantIn, written) == "instant"


@settings(deadline=None)
@given(st.datetimes(min_value=datetime(1970, 1, 2), max_value=datetime(9999, 12, 30), timezones=st.timezones()))  # noqa: DTZ001 — Hypothesis adds the zone
def test_every_instant_comes_back_as_it_was_sent(instant: datetime) -> None:
    offset = instant.utcoffset()
    assert offset is not None
    if offset.total_seconds() % 60:  # local mean times of long ago, which RFC 3339 cannot write
        return
    assert clock.iso(read(types.InstantIn, instant.isoformat())) == clock.iso(instant)


@given(st.datetimes(timezones=st.just(UTC)), st.sampled_from([0, 1, 999, 1000, 120_000, 999_999]))
def test_an_instant_is_written_as_the_standard_library_writes_it(instant: datetime, microsecond: int) -> None:
    for one in (instant, instant.replace(microsecond=microsecond)):
        assert clock.iso(one) == one.isoformat(timespec="milliseconds").replace("+00:00", "Z")


@pytest.mark.parametrize("written", ["1970-01-01", "2024-02-29", "9999-12-31"])
def test_a_date(written: str) -> None:
    assert read(types.DateIn, written) == date.fromisoformat(written)


@pytest.mark.parametrize(
    "written",
    [
        *["1969-12-31", "0001-01-01", "10000-01-01", "2026-02-29", "2026-1-1", "20260101", "2026-W01-1", "2026-001"],
        *["2026-01-01T00:00:00Z", "2026-01-01\n", " 2026-01-01", "٢٠٢٦-٠١-٠١", "", "0"],
    ],
)
def test_a_date_that_is_refused(written: str) -> None:
    assert refusal(types.DateIn, written) == "date"


@pytest.mark.parametrize(
    ("written", "read_as"), [("00:00", time_of_day(0)), ("14:30", time_of_day(14, 30)), ("23:59", time_of_day(23, 59))]
)
def test_a_time(written: str, read_as: time_of_day) -> None:
    assert read(types.TimeIn, written) == read_as


@pytest.mark.parametrize(
    "written", ["24:00", "14:60", "14:30:00", "2:30", "14.30", "1430", "14", "T14:30", "14:30Z", "14:30\n", ""]
)
def test_a_time_that_is_refused(written: str) -> None:
    assert refusal(types.TimeIn, written) == "time"


# Numbers, colors, zones


@pytest.mark.parametrize("number", [0, 1, 2**31 - 1])
def test_an_integer(number: int) -> None:
    assert read(types.Int31, number) == number


@pytest.mark.parametrize("number", [-1, 2**31, 2**63 - 1, 2**63, -(2**63), pytest.param(10**5000, id="10**5000")])
def test_an_integer_out_of_bounds(number: int) -> None:
    assert refusal(types.Int31, number) in {"greater_than_equal", "less_than_equal"}


@pytest.mark.parametrize("value", [True, False, 1.0, 1.5, "3", None, float("nan"), float("inf"), [1]])
def test_an_integer_is_never_made_of_something_else(value: object) -> None:
    assert refusal(types.Int31, value) == "int_type"


def test_a_color_is_lower_case() -> None:
    assert read(types.Color, "#AaBb09") == "#aabb09"


@pytest.mark.parametrize(
    "written", ["", "#abc", "aabb09", "#aabb0", "#aabb090", "#gghhii", "red", "#aabb09\n", "#aabb0٩"]
)
def test_a_color_that_is_refused(written: str) -> None:
    assert refusal(types.Color, written) == "color"


@pytest.mark.parametrize("key", ["Europe/Zagreb", "UTC", "America/Argentina/Buenos_Aires", "Etc/GMT+12"])
def test_a_zone(key: str) -> None:
    assert read(types.Timezone, key) == key


@pytest.mark.parametrize(
    "key",
    [
        *[
            "",
            "europe/zagreb",
            "Europe/Zagreb\n",
            "Europe",
            "Europe/",
            "Mars/Olympus",
            "+01:00",
            "localtime",
            "Factory",
        ],
        *["posixrules", "../../etc/passwd", "/etc/localtime", "Europe/../Europe/Zagreb", "Europe/Zagreb\x00", "\ud800"],
    ],
)
def test_a_zone_that_is_refused(key: str) -> None:
    assert refusal(types.Timezone, key) in {"timezone", "string_unicode"}


# People


@pytest.mark.parametrize(
    "address",
    [
        *["ana@example.com", "Ana.Kovac+todo@Example.COM", "a@b.co", "o'brien@example.org", "x_y-z@sub.example.co.uk"],
        *["ana@bücher.example.de", "ana@xn--bcher-kva.de", "čačak@example.com", f"{'a' * 64}@example.com"],
    ],
)
def test_an_address_is_kept_as_typed(address: str) -> None:
    assert read(types.Email, address) == address


def test_an_address_is_composed_as_every_string() -> None:
    assert read(types.Email, "c\u030cacak@example.com") == "čacak@example.com"


@pytest.mark.parametrize(
    "address",
    [
        *[
            "",
            "ana",
            "@example.com",
            "ana@",
            "ana@b",
            "ana@@example.com",
            "ana@example..com",
            "a..b@example.com",
            ".a@example.com",
        ],
        *["a.@example.com", "ana@.com", "ana@example.com.", "ana@-example.com", "a b@example.com", "ana@exa mple.com"],
        *[
            "a@b.co\n",
            "a@b.co\r\nBcc: x@y.z",
            "\na@b.co",
            " a@b.co",
            "a@b.co ",
            "a\x00@b.co",
            "a\x1b@b.co",
            "\ud800@b.co",
        ],
        *[
            "Ana <ana@example.com>",
            "<ana@example.com>",
            "ana@example.com, bob@example.com",
            '"a b"@example.com',
            "ana@[127.0.0.1]",
        ],
        *[
            "ana@127.0.0.1",
            "a\u202e@example.com",
            "a\u200b@example.com",
            "a@exam\u200bple.com",
            "ana@example.com\u202e",
        ],
        *[
            f"{'a' * 65}@example.com",
            f"ana@{'a' * 64}.com",
            "ana@" + "a." * 125 + "com",
            "ana@٣.٣",
            "ana@example.com(comment)",
        ],
    ],
)
def test_an_address_that_is_refused(address: str) -> None:
    assert refusal(types.Email, address) in {"email", "forbidden_character", "string_too_short", "string_too_long"}


@pytest.mark.parametrize(
    ("written", "stored"),
    [("ana", "ana"), ("Ana_Kovač-2.0", "Ana_Kovač-2.0"), ("Kovac\u030c", "Kovač"), ("a" * 50, "a" * 50)],
)
def test_a_username(written: str, stored: str) -> None:
    assert read(types.Username, written) == stored


@pytest.mark.parametrize(
    "written",
    [
        "",
        "an",
        "a" * 51,
        " ana",
        "ana ",
        "ana@example.com",
        "аna",
        "ana\n",
        "an\u200ba",
        "ana\u202e",
        "...",
        "\ud800na",
    ],
)
def test_a_username_that_is_refused(written: str) -> None:
    assert refusal(types.Username, written) in {
        "username",
        "forbidden_character",
        "string_too_short",
        "string_too_long",
    }


@pytest.mark.parametrize(
    ("written", "stored"),
    [
        ("12345678", "12345678"),
        ("a" * 128, "a" * 128),
        ("👍" * 128, "👍" * 128),
        (" leading and trailing ", " leading and trailing "),
        ("c\u030c" * 8, "č" * 8),
        ("\uff21" * 8, "\uff21" * 8),
    ],
)
def test_a_password_is_neither_trimmed_nor_cut(written: str, stored: str) -> None:
    assert read(types.Password, written) == stored
    assert read(types.PresentedPassword, written) == stored


@pytest.mark.parametrize(
    ("written", "why"),
    [
        ("", "string_too_short"),
        ("1234567", "string_too_short"),
        ("c\u030c" * 7, "string_too_short"),
        ("a" * 129, "string_too_long"),
        ("12345678\n", "forbidden_character"),
        ("1234\x005678", "forbidden_character"),
        ("1234\ud8005678", "forbidden_character"),
    ],
)
def test_a_password_that_is_refused(written: str, why: str) -> None:
    assert refusal(types.Password, written) == why


def test_a_short_password_is_wrong_rather_than_invalid_when_it_is_presented() -> None:
    assert read(types.PresentedPassword, "x") == "x"
    for never_set in ("", "a" * 129, "1234\x005678", "a" * 4096):
        assert read(types.PresentedPassword, never_set) == never_set
    assert refusal(types.PresentedPassword, "a" * 4097) == "string_too_long"


# Models


class Kept(types.Output):
    id: UUID
    at: types.InstantOut
    ended_at: types.InstantOut | None
    name: str = "x"


class Update(types.Input):
    """The idiom of a PATCH."""

    title: Title = types.absent()
    color: types.Color | None = None
    priority: Annotated[types.Int31, Field(ge=1, le=5)] = types.absent()
    done: bool = types.absent()
    role: Literal["owner", "viewer"] = types.absent()
    labels: list[Title] = types.absent()
    parent_id: types.UuidStr | None = None
    password: types.Password | None = None
    due: types.InstantIn | None = None


@pytest.mark.parametrize(
    ("body", "changed"),
    [
        ({}, {}),
        ({"title": " a "}, {"title": "a"}),
        ({"color": None}, {"color": None}),
        ({"color": "#FFFFFF", "title": "a"}, {"title": "a", "color": "#ffffff"}),
        ({"done": False, "priority": 5}, {"priority": 5, "done": False}),
        ({"role": "viewer", "labels": ["a ", "b"]}, {"role": "viewer", "labels": ["a", "b"]}),
        ({"parent_id": ID}, {"parent_id": UUID(ID)}),
    ],
)
def test_only_what_was_sent_is_a_change(body: dict[str, object], changed: dict[str, object]) -> None:
    found = types.changes(Update.model_validate(body))
    assert found == changed
    assert list(found) == list(changed)
    assert types.changes(Update.model_validate_json(json.dumps(body))) == changed


@pytest.mark.parametrize(
    "body",
    [
        *[{"title": None}, {"priority": None}, {"done": None}, {"role": None}, {"labels": None}],  # may not be cleared
        *[{"id": ID}, {"Title": "a"}, {"__class__": "x"}],  # unknown
        *[{"done": 1}, {"done": "true"}, {"priority": "3"}, {"priority": True}, {"priority": 3.0}, {"priority": 0}],
        *[
            {"role": "editor"},
            {"role": "OWNER"},
            {"labels": "ab"},
            {"labels": [1]},
            {"labels": {"a": 1}},
            {"title": ["a"]},
        ],
        *[[], "x", None, 7],
    ],
)
def test_a_body_that_is_refused(body: object) -> None:
    with pytest.raises(ValidationError):
        Update.model_validate(body)


def test_a_body_never_shows_its_values() -> None:
    secret = "correct horse battery"
    body = Update.model_validate({"password": secret, "title": "a"})
    assert repr(body) == "Update('title', 'password')"
    assert secret not in str(body)
    with pytest.raises(ValidationError) as refused:
        Update.model_validate({"password": f"{secret}\x00"})
    assert secret not in str(refused.value)


def test_an_answer_has_its_instants_in_24_characters_and_its_ids_in_lower_case() -> None:
    at = datetime(2026, 11, 22, 8, 41, 52, 120000, tzinfo=UTC)
    kept = Kept(id=UUID(ID.upper()), at=at, ended_at=None)
    assert kept.model_dump(mode="json") == {"id": ID, "at": "2026-11-22T08:41:52.120Z", "ended_at": None, "name": "x"}
    assert json.loads(kept.model_dump_json()) == kept.model_dump(mode="json")


def test_an_answer_is_made_from_a_row_and_has_no_other_member() -> None:
    class Row(NamedTuple):
        id: UUID
        at: datetime
        ended_at: datetime | None
        name: str
        secret: str

    row = Row(UUID(ID), datetime(1970, 1, 1, tzinfo=UTC), None, "n", "s")
    assert set(Kept.model_validate(row).model_dump()) == {"id", "at", "ended_at", "name"}
    with pytest.raises(ValidationError):
        Kept.model_validate(row._asdict())


# Descriptions


@pytest.mark.parametrize(
    ("kind", "described"),
    [
        (Title, {"type": "string", "minLength": 1, "maxLength": 20, "pattern": r"\S"}),
        (Text, {"type": "string", "maxLength": 20}),
        (types.UuidStr, {"type": "string", "format": "uuid"}),
        (types.NewUuid, {"type": "string", "format": "uuid"}),
        (types.InstantIn, {"type": "string", "format": "date-time"}),
        (types.DateIn, {"type": "string", "format": "date"}),
        (types.TimeIn, {"type": "string", "pattern": "^([01][0-9]|2[0-3]):[0-5][0-9]$"}),
        (types.Int31, {"type": "integer", "minimum": 0, "maximum": 2**31 - 1}),
        (types.Color, {"type": "string", "pattern": "^#[0-9A-Fa-f]{6}$"}),
        (types.Timezone, {"type": "string", "maxLength": 64}),
        (types.Email, {"type": "string", "format": "email", "maxLength": 254}),
        (types.Username, {"type": "string", "minLength": 3, "maxLength": 50}),
        (types.Password, {"type": "string", "format": "password", "minLength": 8, "maxLength": 128}),
        (types.PresentedPassword, {"type": "string", "format": "password", "maxLength": 4096}),
    ],
)
def test_a_type_is_described_for_openapi_and_accepts_its_examples(kind: Any, described: dict[str, object]) -> None:
    schema = TypeAdapter(kind).json_schema()
    examples = schema.pop("examples", [])
    assert schema == described
    for example in examples:
        read(kind, example)


def test_an_answer_is_described_with_every_key_and_no_other() -> None:
    schema = Kept.model_json_schema(mode="serialization")
    assert schema["required"] == ["id", "at", "ended_at", "name"]
    assert schema["additionalProperties"] is False
    assert schema["properties"]["at"]["format"] == "date-time"
    assert schema["properties"]["id"]["format"] == "uuid"


def test_a_field_that_may_be_absent_is_described_as_neither_required_nor_null() -> None:
    schema = Update.model_json_schema()
    assert "required" not in schema
    assert schema["properties"]["title"] == {
        "type": "string",
        "minLength": 1,
        "maxLength": 20,
        "pattern": r"\S",
        "title": "Title",
    }
    assert {"type": "null"} in schema["properties"]["color"]["anyOf"]
