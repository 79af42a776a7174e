"""Which DICOM application entities may call: titles, each with the addresses it may call from."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from app.domain.addresses import Range, is_within, ranges_of

_TITLE = re.compile(r"[!-\[\]-~](?:[ -\[\]-~]{0,14}[!-\[\]-~])?")
"""PS3.5 6.2, AE: 1 to 16 characters without backslash and control characters; outer spaces mean nothing."""
ANY = "*"


@dataclass(frozen=True)
class AllowedCaller:
    """One line of the list; a `title` of `*` is any."""

    title: str
    range: Range

    def __str__(self) -> str:
        return f"{self.title}@{self.range}"


def is_title(text: str) -> bool:
    """True of what can be an AE title."""
    return _TITLE.fullmatch(text) is not None


def callers_of(texts: Iterable[str]) -> tuple[AllowedCaller, ...]:
    """The list, of lines such as `CARE7@10.20.0.0/16` and `*@127.0.0.1`. Raises ValueError for any other."""
    callers = []
    for text in texts:
        title, _, range_ = text.rpartition("@")
        if not is_title(title):
            raise ValueError(f"{text!r} is not of the form TITLE@RANGE, like CARE7@10.20.0.0/16")
        callers.append(AllowedCaller(title, ranges_of([range_])[0]))
    return tuple(callers)


def may_call(title: str, address: str | None, allowed: Sequence[AllowedCaller]) -> bool:
    """True where a line of the list has both the title and the address."""
    return is_within(address, [each.range for each in allowed if each.title in (ANY, title)])
