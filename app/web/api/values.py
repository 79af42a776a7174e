"""What callers may send, as types that refuse anything else before it reaches a command."""

from __future__ import annotations

import re
from typing import Any

from pydantic import BaseModel, ConfigDict, model_validator

from app.domain.sentence import sentence

_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")


class Input(BaseModel):
    """A JSON body: unknown members are refused, and so is text that no database takes."""

    model_config = ConfigDict(extra="forbid")

    @model_validator(mode="before")
    @classmethod
    def _storable(cls, data: Any) -> Any:
        if _holds_unstorable(data):
            raise ValueError(sentence("the text holds a NUL character or half a surrogate pair"))
        return data


def _holds_unstorable(value: Any) -> bool:
    match value:
        case str():
            return _UNSTORABLE.search(value) is not None
        case list():
            return any(_holds_unstorable(item) for item in value)
        case dict():
            return any(_holds_unstorable(item) for pair in value.items() for item in pair)
    return False


def one_line(value: str, *, longest: int, what: str) -> str:
    """The text without outer blanks; ValueError where it is too long or holds control characters."""
    text, said_what = value.strip(), what
    if len(text) > longest:
        raise ValueError(sentence(f"{said_what} has at most {longest} characters"))
    if not text.isprintable():
        raise ValueError(sentence(f"{said_what} holds control characters"))
    return text
