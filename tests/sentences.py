"""The sentences that Python makes where nobody's language is known, as messages for the catalogue.

`sentence(f"The modality is {modality}.")` becomes `The modality is %(modality)s.`; so does what
a `Problem`, or an error whose words are stored, is raised with.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from app.web import main
from app.web.problems import known_problems

ROOT = Path(__file__).resolve().parent.parent
_FOLDERS = ("app", "worker", "models")
ENGLISH_ALWAYS = ("app/cli/", "app/embedded/", "app/web/dicomweb/", "app/dicom/qido.py", "app/dicom/wado.py")
_STORED = frozenset({"BundleRefused", "DatasetRefused", "NetworkUnavailable", "NetworkBroke", "ChildLost"})
"""Errors of workers and models whose words are recorded with a study."""
_ONLY_A_VALUE = re.compile(r"(?:^(?=%\(\w+\)s [A-Z])|(?<=[.!?]) )%\(\w+\)s(?: (?=[A-Z])|$)")
"""A sentence of its own that is given: it is in the catalogue where it is made."""
assert main  # every problem class is imported by it


def sentences() -> Iterator[tuple[str, str]]:
    """File and message of each."""
    marks = {"sentence", *_STORED, *(kind.__name__ for kind in known_problems().values())}
    for folder in _FOLDERS:
        for path in sorted((ROOT / folder).rglob("*.py")):
            file = path.relative_to(ROOT).as_posix()
            if not file.startswith(ENGLISH_ALWAYS):
                yield from ((file, message) for message in messages_of(path.read_text(), marks=marks))


def messages_of(source: str, *, marks: set[str]) -> Iterator[str]:
    """The messages in calls of these names, in a module's source."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call) and node.args and _last_name(node.func) in marks:
            for text in _texts(node.args[0]):
                message = _message(text)
                if _literal(text).strip():
                    yield message


def _texts(node: ast.expr) -> Iterator[ast.expr]:
    if isinstance(node, ast.IfExp):
        yield from _texts(node.body)
        yield from _texts(node.orelse)
    elif isinstance(node, ast.JoinedStr) or (isinstance(node, ast.Constant) and isinstance(node.value, str)):
        yield node


def _literal(node: ast.expr) -> str:
    parts = node.values if isinstance(node, ast.JoinedStr) else [node]
    return "".join(str(part.value) for part in parts if isinstance(part, ast.Constant))


def _message(node: ast.expr) -> str:
    names: dict[str, str] = {}
    message = ""
    for part in node.values if isinstance(node, ast.JoinedStr) else [node]:
        if isinstance(part, ast.FormattedValue):
            message += f"%({_name(part, names)})s"
        elif isinstance(part, ast.Constant):
            message += str(part.value).replace("%", "%%")
    return _ONLY_A_VALUE.sub("", message).strip()


def _name(part: ast.FormattedValue, names: dict[str, str]) -> str:
    """The expression's last name; a number behind it where another expression of the text has that name."""
    written = ast.unparse(part)
    base = _last_name(part.value).strip("_") or "value"
    for name in (base, *(f"{base}_{number}" for number in range(2, 9))):
        if names.setdefault(name, written) == written:
            return name
    raise ValueError(f"too many values of one name: {written}")


def _last_name(node: ast.expr) -> str:
    match node:
        case ast.Name(id=name):
            return name
        case ast.Call(func=ast.Attribute(attr="join"), args=[joined]):
            return _last_name(joined)
        case ast.Call(func=ast.Attribute(value=value, attr="upper" | "lower" | "removesuffix")):
            return _last_name(value)
        case ast.Attribute(attr=name):
            return name
        case ast.Call(func=function):
            return _last_name(function)
        case ast.Subscript(value=value):
            return _last_name(value)
        case ast.BinOp(left=left):
            return _last_name(left)
    return ""
