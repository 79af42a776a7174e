"""Heads of the audit trail's chain that somebody kept: given as they are, or in a log."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from app.errors import Unprocessable

_GIVEN = re.compile(r"(?:(\d{1,18}):)?([0-9a-f]{64})")
_SEAL = re.compile(r"\bseal\W{1,4}(\d{1,18})\b")
_HEAD = re.compile(r"\bhead\W{1,4}([0-9a-f]{64})\b")
"""In a syslog message, in a line of the duty worker's log, and in that as JSON."""
_PRINTED = re.compile(r"\b(\d{1,18}):([0-9a-f]{64})\b")
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")


def heads(given: Iterable[str]) -> dict[str, int | None]:
    """Each head with its seal's number, where that is known. Raises Unprocessable for what holds none."""
    found: dict[str, int | None] = {}
    for each in given:
        head = _GIVEN.fullmatch(each.strip().lower())
        if head is not None:
            found[head[2]] = int(head[1]) if head[1] else None
        else:
            found |= _in_file(Path(each))
    return found


def _in_file(path: Path) -> dict[str, int | None]:
    found: dict[str, int | None] = {}
    try:
        with path.open(encoding="utf-8", errors="replace") as lines:
            for written in lines:
                line = _COLOUR.sub("", written)
                seal, head = _SEAL.search(line), _HEAD.search(line)
                if seal is not None and head is not None:
                    found[head[1]] = int(seal[1])
                elif (printed := _PRINTED.search(line) or _GIVEN.fullmatch(line.strip())) is not None:
                    found[printed[2]] = int(printed[1]) if printed[1] else None
    except OSError as error:
        raise Unprocessable(
            f"A head has 64 hexadecimal digits, and there is no readable file {path} ({error.strerror})."
        ) from None
    if not found:
        raise Unprocessable(f"There is no head of the audit trail in {path}.")
    return found
