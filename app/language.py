"""The language of whoever reads: every text that a person sees goes through here.

English is the source: what stands in the code is what an English reader sees, and the key of its translation
in `app/locales/<language>.po`. Placeholders are named, `_("Held by %(name)s", name=name)`; a percent sign is
`%%`.
Outside a request (workers, the command line, what is stored) the language is English.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from functools import lru_cache
from gettext import NullTranslations
from io import BytesIO
from pathlib import Path
from typing import Any

from babel import Locale, UnknownLocaleError
from babel.core import get_global, parse_locale
from babel.messages.catalog import Catalog, Message
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po
from babel.support import Translations

SOURCE = "en"
FOLDER = Path(__file__).parent / "locales"
_LONGEST_HEADER = 500

_current: ContextVar[str] = ContextVar("language", default=SOURCE)


@lru_cache(maxsize=1)
def languages() -> tuple[str, ...]:
    """The source and every language that has a catalogue, as Babel names locales (`zh_Hans`)."""
    return (SOURCE, *sorted(path.stem for path in FOLDER.glob("*.po")))


def name_of(language: str) -> str:
    """What its speakers call it."""
    return locale(language).get_display_name() or language


def current() -> str:
    """The language of this request."""
    return _current.get()


def speak(language: str) -> None:
    """From here on this request, and the threads it starts, speak the language."""
    _current.set(language)


@contextmanager
def speaking(language: str) -> Iterator[None]:
    """Inside the block texts are in the language: `speaking(SOURCE)` around what is stored for everybody."""
    token = _current.set(language)
    try:
        yield
    finally:
        _current.reset(token)


def locale(language: str | None = None) -> Locale:
    """Babel's rules for dates and numbers in the language, or in that of this request."""
    return _locale(language or current())


@lru_cache(maxsize=32)
def _locale(language: str) -> Locale:
    return Locale.parse(language)


def tag(language: str | None = None) -> str:
    """The language as HTML and HTTP name it: `zh-Hans`."""
    return (language or current()).replace("_", "-")


@lru_cache(maxsize=256)
def asked_for(accept_language: str) -> str | None:
    """The first of ours among the languages of an Accept-Language header, by weight; None where none is."""
    asked: list[tuple[float, str]] = []
    for part in accept_language[:_LONGEST_HEADER].split(","):
        name, _, weight = part.partition(";")
        try:
            quality = float(weight.strip().removeprefix("q=") or 1)
        except ValueError:
            continue
        if quality > 0:
            asked.append((quality, name.strip()))
    ours = {_script_of(Locale.parse(language)): language for language in languages()}
    for _quality, name in sorted(asked, key=lambda one: -one[0]):
        try:
            wanted = _script_of(Locale.parse(name, sep="-"))
        except (ValueError, UnknownLocaleError):
            continue
        if wanted in ours:
            return ours[wanted]
    return None


def _script_of(wanted: Locale) -> tuple[str, str]:
    """Language and script, so that zh-CN finds zh_Hans and zh-TW does not."""
    usual = get_global("likely_subtags").get(wanted.language)
    # Not every usual form is a locale that Babel has: that of `no` is none.
    return wanted.language, wanted.script or (parse_locale(usual)[2] if usual else None) or ""


# What is said


def _(message: str, **values: Any) -> str:
    """The message in the language of this request, with the values in their places."""
    return translated(message) % values


def ngettext(one: str, many: str, num: int, **values: Any) -> str:
    """The form for `num` things; `%(num)s` stands for the number itself."""
    return translated_plural(one, many, num) % ({"num": num} | values)


def pgettext(context: str, message: str, **values: Any) -> str:
    """As `_`, for a word that is two words elsewhere; the context tells which."""
    return translated_in_context(context, message) % values


def N_(message: str) -> str:  # noqa: N802  (gettext's own name for it)
    """The message itself: a constant that is in the catalogue, for `_` to say when somebody reads it."""
    return message


def translated(message: str) -> str:
    """The message in the language of this request, its placeholders as they are."""
    return catalogue(current()).gettext(message) if message else ""


def translated_plural(one: str, many: str, num: int) -> str:
    """The form for `num` things, its placeholders as they are."""
    return catalogue(current()).ngettext(one, many, num)


def translated_in_context(context: str, message: str) -> str:
    """The message of that context, its placeholders as they are."""
    return catalogue(current()).pgettext(context, message)


# Catalogues


def read(language: str) -> Catalog:
    """The catalogue as it lies in the repository."""
    with (FOLDER / f"{language}.po").open("rb") as file:
        return read_po(file, locale=language)


@lru_cache(maxsize=32)
def catalogue(language: str) -> NullTranslations:
    """What gettext asks; the source needs none. Made from the .po itself: no compiled file is kept."""
    if language == SOURCE:
        return NullTranslations()
    compiled = BytesIO()
    write_mo(compiled, read(language))
    compiled.seek(0)
    return Translations(compiled)


@lru_cache(maxsize=32)
def script_texts(language: str) -> str | None:
    """JSON of the texts that scripts write, for the block in which pages carry them; None for the source.

    A text that counts has its forms by the categories of Intl.PluralRules.
    """
    if language == SOURCE:
        return None
    texts: dict[str, str | dict[str, str]] = {}
    for message in read(language):
        if message.id and message.string and _is_for_scripts(message):
            key, value = _for_script(message, language)
            texts[key] = value
    return json.dumps(texts, ensure_ascii=False, sort_keys=True).replace("<", "\\u003c")


def _is_for_scripts(message: Message) -> bool:
    """What scripts say, and the words of data that they show."""
    return any(str(file).endswith((".js", ".ts", "/pages/terms.py")) for file, _line in message.locations)


def _for_script(message: Message, language: str) -> tuple[str, str | dict[str, str]]:
    if isinstance(message.id, str):
        return message.id, str(message.string)
    one, many = message.id[:2]
    forms: Mapping[str, str] = {
        _locale(language).plural_form(number): catalogue(language).ngettext(one, many, number)
        for number in range(200)
    }
    return message.id[0], dict(forms)


def load() -> None:
    """Every catalogue is in memory; raises where one cannot be read."""
    for language in languages():
        catalogue(language)
        script_texts(language)
