"""Rules for strings: their one normal form, when two of them count as equal, and which characters they may hold."""

import re
import unicodedata

# A canonical decomposition is at most four times as long: what is longer than that cannot become short enough.
GROWTH = 4

_NONCHARACTERS = r"\ufdd0-\ufdef" + "".join(rf"\U{plane:04x}fffe\U{plane:04x}ffff" for plane in range(17))
_SURROGATES = re.compile(r"[\ud800-\udfff]")
_NO_TEXT = re.compile(rf"[\x00-\x08\x0b-\x1f\x7f-\x9f{_NONCHARACTERS}]")
_BREAKS = re.compile(r"[\t\n\u2028\u2029]")
# Embeddings, overrides and isolates reach beyond the string and reorder what stands around it. The marks LRM, RLM and
# ALM do not, and people who write from right to left need them.
_BIDI = re.compile(r"[\u202a-\u202e\u2066-\u2069]")
# Letters, marks and a symbol that are drawn as nothing, though their category does not say so.
_EMPTY = frozenset(
    "\u034f\u115f\u1160\u17b4\u17b5\u180b\u180c\u180d\u180f\u2800\u3164\uffa0"
    + "".join(map(chr, [*range(0xFE00, 0xFE10), *range(0xE0100, 0xE01F0)]))  # variation selectors
)
_EAST_ASIA = {"CJK", "HIRAGANA", "KATAKANA", "KATAKANA-HIRAGANA", "HANGUL", "BOPOMOFO", "IDEOGRAPHIC"}
# Normalising sorts each run of marks in quadratic time: 9 ms for 4,000 in a row, 1.3 s for 40,000. The Stream-Safe Text
# Format of Unicode (UAX #15) has at most 30, which no script needs.
_MAX_MARKS = 30
_SOON_SORTED = 1000


def clean(text: str) -> str:
    """The form in which strings are stored and sent: NFC."""
    return text if text.isascii() else unicodedata.normalize("NFC", text)


def key(text: str) -> str:
    """Equal for strings that differ in case, composition or width only; for unique columns and sorting.

    Unicode's compatibility caseless match (D146), which takes two rounds to be its own key.
    """
    if text.isascii():
        return text.lower()
    once = unicodedata.normalize("NFKC", unicodedata.normalize("NFD", text).casefold())
    return unicodedata.normalize("NFKC", once.casefold())


def fault(text: str, *, lines: bool = False, bidi: bool = True) -> str | None:
    """Why this is not acceptable, as a sentence. `lines` allows line breaks and tabs, `bidi` controls of direction."""
    if text.isascii() and text.isprintable():
        return None  # what most texts are: none of the following is in them
    if _SURROGATES.search(text):
        return "Half of a surrogate pair is not a character."
    if _NO_TEXT.search(text) or (not lines and _BREAKS.search(text)):
        return "Control characters are not allowed." if lines else "Control characters and line breaks are not allowed."
    if not bidi and _BIDI.search(text):
        return "Characters that change the direction of writing are not allowed."
    if len(text) > _SOON_SORTED and _piled(text):
        return f"More than {_MAX_MARKS} combining marks in a row are not allowed."
    return None


def undirected(text: str) -> str:
    """Without the characters that change the direction of writing, for where the text stands among others."""
    return _BIDI.sub("", text)


def invisible(character: str) -> bool:
    """Whether nothing is drawn for it: spaces, controls, format characters, fillers, variation selectors."""
    return character in _EMPTY or unicodedata.category(character) in {"Zs", "Zl", "Zp", "Cc", "Cf"}


def blank(text: str) -> bool:
    """Whether a reader would see nothing."""
    return all(map(invisible, text))


def name_fault(name: str) -> str | None:
    """Why this is not acceptable as the name of a person, as a sentence.

    People trust the name beside a message, so its letters are plain (no ligatures, no full width, no mathematical
    alphabets) and of one script: a Cyrillic letter does not hide among Latin ones. Two scripts have look-alike words
    still, which this does not see; rights are given to ids and addresses, never to names.
    """
    if not all(map(_in_a_name, name)) or not name[:1].isalnum() or name.endswith("."):
        return "Names are letters, digits, '_', '-' and '.', beginning with a letter or digit and not ending with '.'."
    if len({_script(character) for character in name if character.isalpha()}) > 1:
        return "The letters of a name must be of one script."
    return None


def _in_a_name(character: str) -> bool:
    return character in "_-." or (
        unicodedata.category(character) in {"Lu", "Ll", "Lt", "Lm", "Lo", "Mn", "Mc", "Nd"}
        and character not in _EMPTY
        and unicodedata.is_normalized("NFKC", character)
    )


def _script(letter: str) -> str:
    """As the character's name begins; the scripts of East Asia are written together."""
    word = unicodedata.name(letter, "").partition(" ")[0]
    return "CJK" if word in _EAST_ASIA else word


def _piled(text: str) -> bool:
    marks = 0
    for character in text:
        marks = marks + 1 if unicodedata.combining(character) else 0
        if marks > _MAX_MARKS:
            return True
    return False
