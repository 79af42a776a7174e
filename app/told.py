"""What was said in English, told in the reader's language.

Below the web everything is English: what is stored, logged, raised and given to machines
(`app.domain.sentence`). A page tells it: the sentence is looked up in the catalogue, and where it has values
in it, the template that made it is recognised and its translation filled in with them. So a row that an
earlier version wrote is told too, as long as the catalogue has its sentence; what is unknown stays as it is.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

from app import language
from app.language import N_

_PLACEHOLDER = re.compile(r"%\((\w+)\)s")
_WORDS = ("say_", "said_")
"""How values begin that are words of the catalogue themselves."""
_SEPARATORS = (N_("; "), N_(", "), N_(" and "), N_(" or "))
"""Between the parts of such a value, as far as it has several."""
_LEAST_LETTERS = 9
"""Templates with fewer letters of their own recognise what they did not make: they are for values only."""
_END = re.compile(r"(?<=[.!?”]) +")
_MOST_SENTENCES = 20
_UNKNOWN = 4
"""What a letter that stays English costs, where one taken for a value costs 1."""
_FULL_STOPS = ("。", "！", "？", "”", "；", "：")


def told(text: str | None) -> str:
    """The sentence or sentences in the language of this request; what is not known stays English."""
    if not text or language.current() == language.SOURCE:
        return text or ""
    return _told(language.current(), text)


@dataclass(frozen=True)
class _Template:
    texts: tuple[str, ...]
    """What stands between the values; the first begins it."""
    pattern: re.Pattern[str]
    letters: int
    translation: str


@dataclass(frozen=True)
class _Known:
    """A language's sentences: by their text, and those with values in them."""

    whole: dict[str, str]
    templates: tuple[_Template, ...]


@lru_cache(maxsize=8)
def _known(of: str) -> _Known:
    whole: dict[str, str] = {}
    templates: list[_Template] = []
    for message in language.read(of):
        if not isinstance(message.id, str) or not message.id or not message.string or message.context:
            continue
        if not any(str(file).endswith(".py") for file, _line in message.locations):
            continue
        if _PLACEHOLDER.search(message.id):
            templates.append(_template(message.id, str(message.string)))
        else:
            whole[message.id.replace("%%", "%")] = str(message.string).replace("%%", "%")
    return _Known(whole, tuple(templates))


def _template(message: str, translation: str) -> _Template:
    parts = _PLACEHOLDER.split(message)
    texts, names = [part.replace("%%", "%") for part in parts[::2]], parts[1::2]
    pattern, seen = re.escape(texts[0]), set[str]()
    for name, text in zip(names, texts[1:], strict=True):
        pattern += f"(?P={name})" if name in seen else f"(?P<{name}>.+?)"
        pattern += re.escape(text)
        seen.add(name)
    letters = sum(letter.isalpha() for text in texts for letter in text)
    return _Template(tuple(texts), re.compile(pattern, re.DOTALL), letters, translation)


@lru_cache(maxsize=8192)
def _told(of: str, text: str) -> str:
    said = ""
    for words, _ in _way(of, text):
        said += words if not said or said.endswith(_FULL_STOPS) else f" {words}"
    return said


def untold(text: str, *, of: str) -> list[str]:
    """The sentences of the text that stay English in the language: what its catalogue lacks."""
    return [words for words, known in _way(of, text) if not known]


def _way(of: str, text: str) -> list[tuple[str, bool]]:
    """The cheapest way to tell the text, sentence by sentence or several in one; whether each is known."""
    starts = [0, *(match.end() for match in _END.finditer(text)), len(text)]
    if len(starts) > _MOST_SENTENCES:
        return [(text, False)]
    best: list[tuple[int, list[tuple[str, bool]]]] = [(0, [])]
    for first in range(len(starts) - 2, -1, -1):
        ways = []
        for last in range(first + 1, len(starts)):
            english = text[starts[first] : starts[last]].rstrip()
            words, cost = _sentence(of, english)
            rest_cost, rest = best[len(starts) - 1 - last]
            ways.append((cost + rest_cost, [(words, cost < _UNKNOWN * len(english)), *rest]))
        best.append(min(ways, key=lambda way: (way[0], len(way[1]))))
    return best[-1][1]


def _sentence(of: str, text: str) -> tuple[str, int]:
    """How it is told, and at what cost."""
    known = _known(of)
    if text in known.whole:
        return known.whole[text], 0
    ways = [way for way, letters in _recognised(of, text) if letters >= _LEAST_LETTERS]
    return min([*ways, (text, _UNKNOWN * len(text))], key=lambda way: way[1])


def _recognised(of: str, text: str) -> Iterator[tuple[tuple[str, int], int]]:
    """Each template that may have made the text: how it is told, at what cost, and the template's letters, to
    which those of its words count that are known.
    """
    for template in _known(of).templates:
        if not text.startswith(template.texts[0]) or any(part not in text for part in template.texts):
            continue
        if not (found := template.pattern.fullmatch(text)):
            continue
        values, cost, letters = found.groupdict(), 0, template.letters
        for name, value in values.items():
            price = len(value)
            if name.startswith(_WORDS):
                values[name], price = _words(of, value)
                letters += max(sum(letter.isalpha() for letter in value) - price, 0)
            cost += price
        yield (template.translation % values, cost), letters


def _words(of: str, text: str) -> tuple[str, int]:
    """A value that is words of the catalogue: one, a template with its values, or several; and the cost."""
    known = _known(of)
    if text in known.whole:
        return known.whole[text], 0
    # A template without letters of its own would take any words for its values.
    ways = [way for way, letters in _recognised(of, text) if letters]
    for separator in _SEPARATORS:
        if separator in text:
            parts = [_words(of, part) for part in text.split(separator)]
            told_separator = known.whole.get(separator, separator)
            ways.append((told_separator.join(part for part, _ in parts), sum(cost for _, cost in parts)))
            break
    return min([*ways, (text, len(text))], key=lambda way: way[1])
