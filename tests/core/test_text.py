"""Strings have one normal form, one notion of equality, and no characters that are no text."""

# ruff: noqa: RUF001 — characters that look like others are what is tested

import time
import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from doable.core import text


@settings(deadline=None)
@given(st.text())
def test_a_clean_text_is_composed_and_stays_so(written: str) -> None:
    once = text.clean(written)
    assert unicodedata.is_normalized("NFC", once)
    assert text.clean(once) == once


@settings(deadline=None)
@given(st.text())
def test_a_key_is_its_own_key(written: str) -> None:
    assert text.key(text.key(written)) == text.key(written)


@settings(deadline=None)
@given(st.text())
def test_forms_of_one_text_have_one_key(written: str) -> None:
    forms = [unicodedata.normalize(form, written) for form in ("NFC", "NFD", "NFKC", "NFKD")]
    assert {text.key(form) for form in forms} == {text.key(written)}


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Ana", "aNA"),
        ("straße", "STRASSE"),
        ("É", "e\u0301"),
        ("\ufb01n", "FIN"),  # a ligature
        ("\uff21\uff4e\uff41", "ana"),  # full width
        ("\U0001d41a\U0001d427\U0001d41a", "ana"),  # mathematical bold
        ("ΣΑΣ", "σας"),
        ("\u212b", "å"),
        ("\u1f80", "\u1f88"),
        ("\u0391\u0345\u0301", "\u0391\u0301\u0345"),  # marks in another order
    ],
)
def test_keys_that_are_equal(one: str, other: str) -> None:
    assert text.key(one) == text.key(other)


@pytest.mark.parametrize(("one", "other"), [("ana", "anа"), ("resume", "résumé"), ("a", "a "), ("i", "ı")])
def test_keys_that_differ(one: str, other: str) -> None:
    assert text.key(one) != text.key(other)


@pytest.mark.parametrize(
    "character",
    [
        *["\x00", "\x01", "\x08", "\x0b", "\r", "\x1b", "\x1f", "\x7f", "\x80", "\x85", "\x9f"],
        *["\ud800", "\udbff", "\udc00", "\udfff"],
        *["\ufdd0", "\ufdef", "\ufffe", "\uffff", "\U0001fffe", "\U0001ffff", "\U0010fffe", "\U0010ffff"],
    ],
)
def test_what_is_no_text_is_refused_everywhere(character: str) -> None:
    assert text.fault(f"a{character}b")
    assert text.fault(f"a{character}b", lines=True)


@pytest.mark.parametrize("character", ["\t", "\n", "\u2028", "\u2029"])
def test_line_breaks_belong_to_texts_of_several_lines(character: str) -> None:
    assert text.fault(f"a{character}b")
    assert text.fault(f"a{character}b", lines=True) is None


@pytest.mark.parametrize("character", [*map(chr, range(0x202A, 0x202F)), *map(chr, range(0x2066, 0x206A))])
def test_controls_of_direction_do_not_belong_to_names(character: str) -> None:
    assert text.fault(f"a{character}b", bidi=False)
    assert text.fault(f"a{character}b") is None


@pytest.mark.parametrize(
    "written",
    [
        "",
        "plain",
        "č ñ 日本 שלום हिन्दी",
        "👩‍👩‍👧 🏳️‍🌈",
        "C++\u200e",
        "\u200f\u061c",
        "zero\u200bwidth",
        "\ue000",
        "\ufffd",
    ],
)
def test_what_people_write_is_accepted(written: str) -> None:
    assert text.fault(written, bidi=False) is None


@pytest.mark.parametrize(
    ("written", "stored"),
    [("e\u0301", "é"), ("\u212b", "Å"), ("\u1100\u1161", "가"), ("\u0958", "\u0915\u093c"), ("\ufb01", "\ufb01")],
)
def test_a_text_is_stored_composed(written: str, stored: str) -> None:
    assert text.clean(written) == stored


@given(st.text(st.characters(max_codepoint=127)))
def test_of_ascii_only_controls_are_refused(written: str) -> None:
    breaks, controls = set(written) & set("\t\n"), {char for char in written if unicodedata.category(char) == "Cc"}
    for bidi in (False, True):
        assert (text.fault(written, bidi=bidi) is not None) == bool(controls)
        assert (text.fault(written, lines=True, bidi=bidi) is not None) == bool(controls - breaks)


def test_the_only_refused_characters_are_those() -> None:
    every = [chr(code) for code in range(0x110000)]

    def refused(**allowed: bool) -> int:
        return sum(text.fault(character, **allowed) is not None for character in every)

    controls, surrogates, noncharacters, breaks, directions = 65, 2048, 66, 2, 9
    assert refused(lines=True) == controls - 2 + surrogates + noncharacters
    assert refused() == controls + surrogates + noncharacters + breaks
    assert refused(bidi=False) == controls + surrogates + noncharacters + breaks + directions


@pytest.mark.parametrize(
    "written", ["", " ", "\u3000", "\u200b", "\u200d\ufe0f", "\u2800", "\u3164", "\ufeff", "\u00ad", "\U000e0041"]
)
def test_a_text_without_anything_to_see_is_blank(written: str) -> None:
    assert text.blank(written)


@pytest.mark.parametrize("written", [".", " a", "\u200bа", "👍", "\u0301"])
def test_a_text_with_something_to_see_is_not_blank(written: str) -> None:
    assert not text.blank(written)


def test_marks_that_would_be_sorted_for_minutes_are_refused_first() -> None:
    piled = "a" + "\u0316\u0301" * 100_000
    before = time.process_time()
    assert text.fault(piled, lines=True)
    assert time.process_time() - before < 1
    assert text.fault("a\u0316\u0301" * 10_000, lines=True) is None


@pytest.mark.parametrize(
    "name",
    [
        "ana",
        "a",
        "7",
        "Ana-Marija_2.0",
        "čevapčić",
        "Ελένη",
        "мария",
        "हिन्दी",
        "אבג",
        "田中さくら",
        "김철수",
        "e\u0301",
    ],
)
def test_names_that_people_have(name: str) -> None:
    assert text.name_fault(text.clean(name)) is None


@pytest.mark.parametrize(
    "name",
    [
        *["", ".ana", "-ana", "_ana", "ana.", "\u0301ana"],
        *["a na", "ana@example", "a/b", "a:b", "<ana>", "ana\n", "ana\x00", "'", "👩"],
        *["an\u200ba", "an\u200da", "\u202eana", "an\u3164a", "a\ufe0fna", "a\u034fna"],
        *["\ufb01n", "\uff21na", "\U0001d41ana", "ª", "x²"],
        *["аna", "anα", "ana田"],  # a letter of another script among Latin ones
    ],
)
def test_names_that_are_refused(name: str) -> None:
    assert text.name_fault(name)
