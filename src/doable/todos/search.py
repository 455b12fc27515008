"""What todos are found by: a text becomes terms, and what somebody looks for becomes ranges of terms.

A term is a word, whatever the case and width of its letters and, in Latin and Greek, their accents. Scripts that are
written without spaces have no words that one could see: there each pair of neighbours is a term. A symbol, such as an
emoji, is one by itself. Labels are terms too, behind a `#`, which no word has. All of this is made here and not by a
database, so both find the same.
"""

import re
import unicodedata
from collections.abc import Iterable, Iterator
from itertools import chain, groupby, islice
from typing import Literal, NamedTuple

import orjson

from doable.core import text

MOST = 200
"""Terms of a title and a description together; what comes after them is not found."""
LONGEST = 50
"""Code points of a word that count: an address or a key is found by its beginning."""

# The letters of Latin and Greek end before U+0400; behind it a mark makes another letter (й, が, कि).
_ACCENTS = re.compile("(?<=[A-Za-z\u0080-\u03ff])[\u0300-\u036f]+")
# Thai and Lao, Myanmar, Khmer, kana, ideographs.
_UNSPACED = re.compile(
    "[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3005-\u3007\u3040-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff"
    "\U00020000-\U0003ffff]"
)
_DOTLESS = "\u0131"
_ASCII = re.compile("[a-z0-9]+")  # the same as below, for what most texts are made of
_READ = 4_000  # code points of a text in its folded form: no longer one is honest
_NOTHING_MORE = "\x01"  # comes before whatever a term could go on with
_ANYTHING = "\U0010ffff"  # comes behind it

type _Kind = Literal["word", "unspaced", "symbol", "between"]


class Range(NamedTuple):
    """The terms from `low` on and before `high`."""

    low: str
    high: str


def terms(title: str, description: str | None, labels: Iterable[str]) -> str:
    """As `todos.terms` keeps them: `[[term, null], …, [label's term, label], …]`, each term once."""
    words = dict.fromkeys([*_terms(title), *_terms(description or "")])
    found = [(word, None) for word in islice(words, MOST)]
    return orjson.dumps([*found, *[(label_term(label), label) for label in labels]]).decode()


def ranges(wanted: str) -> list[Range]:
    """A todo is found if it has a term in each; the last word may be the beginning of one. Without words: none."""
    *words, last = [*_words(wanted)] or [""]
    return list(dict.fromkeys(chain(chain.from_iterable(map(_exact, words)), _beginning(last) if last else ())))


def label_term(label: str) -> str:
    """Equal for labels that count as one."""
    return f"#{text.key(label)}"


def _terms(written: str) -> Iterable[str]:
    if written.isascii():
        return [word[:LONGEST] for word in _words(written)]
    return _terms_of_any(written)


def _terms_of_any(written: str) -> Iterator[str]:
    for word in _words(written):
        if _UNSPACED.match(word):
            # The last one is alone, so that each character is the beginning of a term.
            yield from (word[start : start + 2] for start in range(len(word)))
        else:
            yield word[:LONGEST]


def _exact(word: str) -> Iterator[Range]:
    if not _UNSPACED.match(word):
        yield Range(word[:LONGEST], word[:LONGEST] + _NOTHING_MORE)
    elif len(word) == 1:
        yield Range(word, word + _ANYTHING)
    else:
        pairs = (word[start : start + 2] for start in range(len(word) - 1))
        yield from (Range(pair, pair + _NOTHING_MORE) for pair in pairs)


def _beginning(word: str) -> Iterator[Range]:
    if _UNSPACED.match(word):
        yield from _exact(word)
    else:
        yield Range(word[:LONGEST], word[:LONGEST] + _ANYTHING)


def _words(written: str) -> Iterable[str]:
    """The runs of letters, digits and their marks, a run for each way of spacing, and the symbols one by one."""
    folded = _folded(written)
    return _ASCII.findall(folded) if folded.isascii() else _words_of_any(folded)


def _words_of_any(folded: str) -> Iterator[str]:
    seen = (character for character in folded if character.isspace() or not text.invisible(character))
    for kind, run in groupby(seen, _kind):
        if kind == "symbol":
            yield from run
        elif kind != "between":
            word = "".join(run)
            if any(map(str.isalnum, word)):
                yield word


def _folded(written: str) -> str:
    key = text.key(written)[:_READ]
    if key.isascii():
        return key
    plain = _ACCENTS.sub("", unicodedata.normalize("NFD", key))
    return unicodedata.normalize("NFC", plain).replace(_DOTLESS, "i")  # I is the capital of both


def _kind(character: str) -> _Kind:
    category = unicodedata.category(character)
    if category[0] in "LNM":
        return "unspaced" if _UNSPACED.match(character) else "word"
    return "symbol" if category == "So" else "between"
