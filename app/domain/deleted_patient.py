"""How a deleted patient is known again where it matters who learns and who judges: by keyed hashes alone.

A place in the locked test, or among those networks learnt from, is for ever. The key of the hash is the
site's own; who has both it and the database can try a PatientID, and nobody can read one.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import unicodedata
from collections.abc import Iterator, Sequence
from datetime import date

from app.domain.patient_key import SEPARATOR, WITHOUT_ISSUER

STANDS_FOR = f"deleted{SEPARATOR}"
_SHORTEST = 3
"""Shorter parts of names are words too, but for Chinese, Japanese and Korean ones."""
_ALSO_WORDS = frozenset(
    {"art", "bill", "day", "dean", "don", "drew", "faith", "grace", "hope", "joy", "long", "mark", "may"}
    | {"pat", "rich", "rob", "rose", "sue", "summer", "will", "young"}
)
"""Names that English writes without a capital where it does not mean a person."""
_OTHER_LETTERS = str.maketrans({"ø": "o", "ł": "l", "đ": "d", "ı": "i", "æ": "ae", "œ": "oe", "þ": "th"})
_UMLAUTS = str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue", "å": "aa", "ø": "oe"})
_UNSPACED = re.compile("[\u2e80-\u9fff\uac00-\ud7ff\uf900-\ufaff\U00020000-\U0003ffff]")
_DATE = re.compile(r"(?<!\d)(\d{1,4})\D{1,2}(\d{1,2})\D{1,2}(\d{1,4})(?!\d)")


def name_of(patient_key: str, *, secret: str) -> str:
    """What stands for the patient; the same for the same key."""
    if patient_key.startswith(STANDS_FOR):
        return patient_key
    return STANDS_FOR + _mark("key", patient_key, secret)


def marks_kept(patient_key: str, *, secret: str) -> list[str]:
    """Under these marks a deleted patient's name is kept."""
    bare = re.sub(WITHOUT_ISSUER, "", patient_key)
    marks = [_mark("key", patient_key, secret)]
    return marks if bare == patient_key else [*marks, _mark("number", bare, secret)]


def marks_asked(patient_key: str, *, secret: str) -> list[str]:
    """A patient with one of these marks is the deleted one: the same key, or the same PatientID where one of
    the two has no issuer.
    """
    bare = re.sub(WITHOUT_ISSUER, "", patient_key)
    other = _mark("key", bare, secret) if bare != patient_key else _mark("number", patient_key, secret)
    return [_mark("key", patient_key, secret), other]


def _mark(what: str, text: str, secret: str) -> str:
    return hmac.new(secret.encode(), f"{what} {text}".encode(), hashlib.sha256).hexdigest()


def is_named_in(reason: str, *, name: str, numbers: Sequence[str], born: date | None) -> bool:
    """True where the reason holds a part of the name, one of the numbers or the birth date.

    Whole words count, however they are spelt: without marks (Muller), with umlauts written out (Mueller),
    with and without the punctuation (O'Brien).
    """
    said = set(_spelt(reason))
    parts = [part for part in re.split(r"[\s^=]+", name) if part]
    parts += [half for part in parts for half in re.split(r"[-\u2010-\u2015]", part) if half != part]
    for part in [*parts, *numbers]:
        if part.casefold() in _ALSO_WORDS and not _is_capitalised(part, reason):
            continue
        for word in _spelt(part):
            if _UNSPACED.search(word):
                if any(word in text for text in said):
                    return True
            elif len(word) >= _SHORTEST and any(f" {word} " in f" {text} " for text in said):
                return True
    return born is not None and _is_date_in(reason, born)


def _spelt(text: str) -> Iterator[str]:
    """The text as its writer and others may spell it, in small letters."""
    small = unicodedata.normalize("NFC", text).casefold()
    for letters in (small, small.translate(_UMLAUTS)):
        bare = "".join(
            letter
            for letter in unicodedata.normalize("NFKD", letters.translate(_OTHER_LETTERS))
            if not unicodedata.combining(letter)
        )
        bare = unicodedata.normalize("NFC", bare)
        for between in ("", " "):
            kept = "".join(
                letter if letter.isalnum() else " " if letter.isspace() else between for letter in bare
            )
            if words := " ".join(kept.split()):
                yield words


def _is_capitalised(part: str, reason: str) -> bool:
    """The word is there as a name is written, and is not the first one, which always is."""
    return any(word.casefold() == part.casefold() and word[0].isupper() for word in _words(reason)[1:])


def _words(text: str) -> list[str]:
    return re.findall(r"\w+", text)


def _is_date_in(reason: str, born: date) -> bool:
    if any(f"{born:{form}}" in reason for form in ("%Y%m%d", "%d%m%Y", "%m%d%Y")):
        return True
    year, month, day = born.year, born.month, born.day
    for found in _DATE.findall(reason):
        one, two, three = map(int, found)
        for said, rest in ((one, {(two, three)}), (three, {(one, two), (two, one)})):
            if said in (year, year % 100) and rest & {(month, day)}:
                return True
    return False
