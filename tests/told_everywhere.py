"""Whatever the tests drive the real code to refuse, withhold or note is in the catalogue of every language.

No list of sentences is kept: those are checked that the code makes while it is tested, where it makes them.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

import pytest

from app import language
from app.dicom.gate import GateVerdict
from app.errors import Problem
from app.told import untold
from tests.sentences import ENGLISH_ALWAYS, ROOT

_LANGUAGES = [each for each in language.languages() if each != language.SOURCE]
_NOT_OURS = (*ENGLISH_ALWAYS, "app/web/problems.py")
_said: list[str] = []


def listen(kind: type[Any], *names: str) -> None:
    """From here on what our code gives to new objects of the kind under these names is heard."""
    make = kind.__init__

    def heard(self: Any, *given: Any, **named: Any) -> None:
        make(self, *given, **named)
        if _is_ours(sys._getframe(1).f_code.co_filename):
            for name in names:
                said = getattr(self, name)
                _said.extend([said] if isinstance(said, str) else said or ())

    kind.__init__ = heard


def _is_ours(file: str) -> bool:
    """False for the tests themselves, what answers machines alone, and what passes on a library's words."""
    inside = file.removeprefix(f"{ROOT}/")
    return inside.startswith(("app/", "worker/", "models/")) and not inside.startswith(_NOT_OURS)


listen(Problem, "detail")
listen(GateVerdict, "withheld", "notices")


@pytest.fixture(autouse=True)
def everything_said_can_be_told() -> Iterator[None]:
    """Fails a test in which our code said what a reader of another language would be shown in English."""
    _said.clear()
    yield
    lacking = {words for of in _LANGUAGES for text in set(_said) for words in untold(text, of=of)}
    _said.clear()
    assert not lacking, f"mark it as a sentence, run: make catalogue, and translate it: {sorted(lacking)}"
