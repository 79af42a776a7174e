"""The search: studies by patient ID, accession number or any part of a name, of however many."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Row, func, or_, select, text
from sqlalchemy.orm import Session

from app.errors import BadRequest
from app.records import Study

_LONGEST_TEXT = 64
_NEWEST = 20_000
"""Studies that are looked through first: a name that many have is found there, in a hundredth of a second.
Of a name that is rarer the indexes give all there are.
"""
_UNSEEN = dict.fromkeys((0x200E, 0x200F, *range(0x2066, 0x206A)))
"""Marks of direction, which stand around a name that was copied from a page."""
_BEGINS_AFTER = ("", "%^", "%=", "% ", "%-")
"""What may stand before a part of a name, in LIKE."""
_NOT_ASCII = text("octet_length(patient_name) > length(patient_name)")
"""As the index over the characters of such names has it (`app.records.study`)."""
_Found = Sequence[Row[UUID, datetime]]


def newest_found(session: Session, *, wanted: str, size: int) -> list[UUID]:
    """The newest `size` studies of this patient ID or accession number, or whose patient's name has every
    word of the text, in any script; with one or two ASCII letters a part of the name must begin.

    Raises BadRequest for a text of fewer than 2 or more than 64 characters.
    """
    wanted = wanted.translate(_UNSEEN).strip()
    if not 2 <= len(wanted) <= _LONGEST_TEXT or "\0" in wanted:
        raise BadRequest(
            f"Search for 2 to {_LONGEST_TEXT} characters: a name, patient ID or accession number."
        )
    rows = {
        (row.arrived_at, row.id)
        for number in (Study.patient_id, Study.accession_number)
        for row in _of_all(session, [number == wanted], size=size)
    }
    if words := wanted.replace("^", " ").replace(",", " ").split():
        found = _among_the_newest(session, words, size=size)
        if len(found) < size:
            conditions = [condition for word in words for condition in _known_to_an_index(word)]
            found = _of_all(session, conditions, size=size)
        rows |= {(row.arrived_at, row.id) for row in found}
    return [study_id for _, study_id in sorted(rows, reverse=True)[:size]]


def _among_the_newest(session: Session, words: Sequence[str], *, size: int) -> _Found:
    newest = (
        select(Study.id, Study.arrived_at, Study.patient_name)
        .order_by(Study.arrived_at.desc(), Study.id.desc())
        .limit(_NEWEST)
        .subquery("newest")
    )
    named = select(newest.c.id, newest.c.arrived_at).where(
        *(_in_name(word, newest.c.patient_name) for word in words)
    )
    return session.execute(named.order_by(newest.c.arrived_at.desc(), newest.c.id.desc()).limit(size)).all()


def _of_all(session: Session, conditions: Sequence[ColumnElement[bool] | Any], *, size: int) -> _Found:
    """All that pass are looked up by the conditions' index, and then the newest taken: the index of time,
    read until enough have passed, would be read to its end for a rare one.
    """
    passing = select(Study.id, Study.arrived_at).where(*conditions).cte("passing").prefix_with("MATERIALIZED")
    return session.execute(
        select(passing.c.id, passing.c.arrived_at)
        .order_by(passing.c.arrived_at.desc(), passing.c.id.desc())
        .limit(size)
    ).all()


def _in_name(word: str, name: ColumnElement[Any] | Any) -> ColumnElement[bool]:
    """As the index over names has it: ILIKE would not know it."""
    before = _BEGINS_AFTER if word.isascii() and len(word) <= 2 else ("%",)
    plain = re.sub(r"([\\%_])", r"\\\1", word)
    return or_(*(func.lower(name).like(func.lower(f"{start}{plain}%"), escape="\\") for start in before))


def _known_to_an_index(word: str) -> list[ColumnElement[bool] | Any]:
    """Trigrams are of ASCII letters and digits; names in other scripts are indexed by their characters."""
    if word.isascii():
        return [_in_name(word, Study.patient_name)]
    has_its_characters = func.name_grams(Study.patient_name).op("@>")(func.name_grams(word))
    return [_NOT_ASCII, has_its_characters, _in_name(word, Study.patient_name)]
