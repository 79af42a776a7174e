"""The catalogues of app/locales: brought up to date from the code, and told what is wrong with them.

`make catalogue` runs this. What it writes depends on code and translations alone: no date, no line number.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

from babel.messages.catalog import Catalog, Message
from babel.messages.extract import extract_from_dir
from babel.messages.plurals import get_plural
from babel.messages.pofile import write_po

from app import language
from tests.sentences import sentences

ROOT = Path(__file__).resolve().parent.parent
PLACEHOLDER = re.compile(r"%\((\w+)\)s")
MARKUP = re.compile(r"</?[a-z][^>]*>|&#?\w+;|[<>\"]")
_METHODS = [
    ("app/**.py", "python"),
    ("worker/**.py", "python"),
    ("app/web/templates/**.html", "jinja2.ext:babel_extract"),
    ("app/web/static/js/**.js", "javascript"),
    ("app/web/viewer/src/**.ts", "javascript"),
]
_OPTIONS = {
    "app/web/static/js/**.js": {"parse_template_string": "true"},
    "app/web/viewer/src/**.ts": {"parse_template_string": "true"},
    "app/web/templates/**.html": {
        "trimmed": "true",
        "newstyle_gettext": "true",
        "silent": "false",
        "trim_blocks": "true",
        "lstrip_blocks": "true",
    },
}
_KEYWORDS = {"_": None, "N_": None, "gettext": None, "ngettext": (1, 2), "pgettext": ((1, "c"), 2)}
_OF_TRANSLATORS = "Translators:"


def extracted() -> Catalog:
    """Every message of the code, with the files that say it."""
    catalog = Catalog()
    for folder in ("app", "worker"):
        for file, _line, message, comments, context in extract_from_dir(
            ROOT / folder,
            [(pattern.removeprefix(f"{folder}/"), method) for pattern, method in _METHODS],
            {pattern.removeprefix(f"{folder}/"): options for pattern, options in _OPTIONS.items()},
            keywords=_KEYWORDS,
            comment_tags=(_OF_TRANSLATORS,),
            directory_filter=lambda path: not path.endswith(("/node_modules", "/static/viewer", "/locales")),
        ):
            catalog.add(message, locations=[(f"{folder}/{file}", 0)], auto_comments=comments, context=context)
    for file, message in sentences():
        catalog.add(message, locations=[(file, 0)])
    return catalog


def updated(name: str) -> Catalog:
    """The catalogue with the code's messages: translations stay, what is not said goes, the new is empty."""
    kept = language.read(name)
    catalog = Catalog(locale=name, header_comment=kept.header_comment)
    for message in extracted():
        if not message.id:
            continue
        old = kept.get(message.id, message.context)
        catalog.add(
            message.id,
            string=old.string if old and _same_kind(old, message) else None,
            locations=message.locations,
            auto_comments=message.auto_comments,
            user_comments=old.user_comments if old else (),
            flags=(message.flags | (old.flags & {"fuzzy"})) if old else message.flags,
            context=message.context,
        )
    return catalog


def _same_kind(one: Message, other: Message) -> bool:
    return isinstance(one.id, tuple) == isinstance(other.id, tuple)


def written(catalog: Catalog) -> bytes:
    """The file, in the order of the messages."""
    body = BytesIO()
    write_po(body, catalog, omit_header=True, sort_output=True, include_lineno=False, width=110)
    name = str(catalog.locale)
    head = "\n".join(
        (
            catalog.header_comment,
            'msgid ""',
            'msgstr ""',
            '"Content-Type: text/plain; charset=utf-8\\n"',
            f'"Language: {name}\\n"',
            f'"Plural-Forms: {get_plural(name).plural_forms}\\n"',
            "",
            "",
        )
    )
    return head.encode() + body.getvalue()


def write(name: str, catalog: Catalog) -> None:
    """The catalogue lies in the repository."""
    (language.FOLDER / f"{name}.po").write_bytes(written(catalog))


def faults(name: str) -> Iterator[str]:
    """What is wrong with a language's catalogue, message by message."""
    catalog = language.read(name)
    ours = extracted()
    known = {(message.id, message.context) for message in ours if message.id}
    for message in ours:
        if message.id and catalog.get(message.id, message.context) is None:
            yield f"is not in the catalogue: {message.id!r}"
    for message in catalog:
        if not message.id:
            continue
        if (message.id, message.context) not in known:
            yield f"is no longer said: {message.id!r}"
        elif message.fuzzy:
            yield f"is fuzzy: {message.id!r}"
        else:
            yield from _faults_of(message, catalog.num_plurals)


def _faults_of(message: Message, forms: int) -> Iterator[str]:
    sources = message.id if isinstance(message.id, (tuple, list)) else (message.id,)
    strings = message.string if isinstance(message.string, (tuple, list)) else (message.string,)
    if not all(strings) or (len(sources) > 1 and len(strings) != forms):
        yield f"is not translated: {sources[0]!r}"
        return
    wanted = {name for source in sources for name in PLACEHOLDER.findall(source)}
    for string in strings:
        found = set(PLACEHOLDER.findall(string))
        if found - wanted or wanted - found - {"num"}:
            yield f"has other placeholders than its source: {sources[0]!r}"
    # Templates take a translation as markup, often inside an attribute.
    for string in strings:
        if MARKUP.findall(string) != MARKUP.findall(sources[0]):
            yield f"has other tags, entities or quotation marks than its source: {sources[0]!r}"
    for text in (*sources, *strings):
        try:
            text % dict.fromkeys(wanted | {"num"}, "")
        except (ValueError, TypeError, KeyError) as error:
            yield f"cannot be filled in ({error}; a percent sign is written %%): {text!r}"


if __name__ == "__main__":
    for each in language.languages():
        if each != language.SOURCE:
            write(each, updated(each))
            for fault in faults(each):
                sys.stdout.write(f"{each}: {fault}\n")
