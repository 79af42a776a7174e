"""Attribute matching of QIDO-RS (PS3.18 8.3.4, PS3.4 C.2.2.2) as conditions on studies and images.

What the worklist knows in columns is matched there, everything else in the stored DICOM JSON of the images.
"""

from __future__ import annotations

import re
from datetime import date
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Date,
    SQLColumnExpression,
    case,
    cast,
    exists,
    func,
    literal_column,
    or_,
    select,
)
from sqlalchemy.dialects.postgresql import JSONB

from app.dicom.qido import Match
from app.errors import BadRequest
from app.records import Image, Study

_Column = SQLColumnExpression[Any]

_TEXT_OF_STUDY: dict[str, _Column] = {
    "00080050": Study.accession_number,
    "00081030": Study.study_description,
    "00100010": Study.patient_name,
    "00100020": Study.patient_id,
    "00100021": Study.issuer_of_patient_id,
    "00100040": Study.patient_sex,
    "0020000D": Study.study_instance_uid,
}
_DATE_OF_STUDY: dict[str, _Column] = {"00080020": Study.study_date, "00100030": Study.patient_birth_date}
_TEXT_OF_IMAGE: dict[str, _Column] = {
    "00080016": Image.sop_class_uid,
    "00080018": Image.sop_instance_uid,
    "00080060": Image.modality,
    "0020000E": Image.series_instance_uid,
}
_MODALITIES_IN_STUDY = "00080061"
_SOP_CLASSES_IN_STUDY = "00080062"
_ANY_CASE = frozenset({"PN", "LO", "SH"})
_DATE = re.compile(r"(\d{4})[.-]?(\d{2})[.-]?(\d{2})")


def study_condition(match: Match) -> ColumnElement[bool] | None:
    """The condition on the study; None where the attribute is not one of the study's columns."""
    if match.tag in _DATE_OF_STUDY:
        return _dated(_DATE_OF_STUDY[match.tag], match)
    if match.tag in _TEXT_OF_STUDY:
        return None if match.how == "present" else _textual(_TEXT_OF_STUDY[match.tag], match)
    if match.tag in (_MODALITIES_IN_STUDY, _SOP_CLASSES_IN_STUDY) and match.how != "present":
        column = Image.modality if match.tag == _MODALITIES_IN_STUDY else Image.sop_class_uid
        sibling = exists().where(
            Image.study_id == Study.id, Image.superseded_by.is_(None), _textual(column, match)
        )
        return sibling.correlate(Study)
    return None


def image_condition(match: Match) -> ColumnElement[bool]:
    """The condition on the image, by its column or its stored attributes; any of several values may match."""
    if match.tag in _TEXT_OF_IMAGE:
        return _textual(_TEXT_OF_IMAGE[match.tag], match)
    stored = Image.attributes[match.tag]["Value"]
    # Asked first, because a function of arrays fails on anything else.
    array = case((func.jsonb_typeof(stored) == "array", stored), else_=cast([], JSONB))
    values = func.jsonb_array_elements(array).column_valued("value")
    name = values.op("->>")("Alphabetic")
    text = func.coalesce(name, values.op("#>>")(literal_column("'{}'::text[]")))
    return select(values).where(_textual(text, match)).correlate(Image).exists()


def _textual(column: _Column, match: Match) -> ColumnElement[bool]:
    match match.how:
        case "exact" if match.vr == "PN":
            return _like(column, _pattern(match.values[0]), match)
        case "exact":
            return column.in_(match.values)
        case "wildcard":
            return _like(column, _pattern(match.values[0]), match)
        case "range":
            return _between(func.replace(column, ":", ""), match)
    return column.is_not(None)


def _like(column: _Column, pattern: str, match: Match) -> ColumnElement[bool]:
    if match.vr not in _ANY_CASE:
        return column.like(pattern, escape="\\")
    found: ColumnElement[bool] = column.ilike(pattern, escape="\\")
    if match.vr == "PN":  # any of the alphabetic, ideographic and phonetic names
        found = or_(
            found, column.ilike(f"{pattern}=%", escape="\\"), column.ilike(f"%={pattern}", escape="\\")
        )
    return found


def _pattern(wildcard: str) -> str:
    escaped = re.sub(r"([\\%_])", r"\\\1", wildcard)
    return escaped.replace("*", "%").replace("?", "_")


def _between(column: _Column, match: Match) -> ColumnElement[bool]:
    """A range of times, or of dates in stored attributes: as DICOM writes them, text compares like time."""
    first, last = (value.replace(":", "") for value in match.values)
    whole: ColumnElement[bool] = column.is_not(None)
    if first:
        whole = whole & (column >= first)
    if last:
        whole = whole & (func.left(column, len(last)) <= last)
    return whole


def _dated(column: _Column, match: Match) -> ColumnElement[bool] | None:
    match match.how:
        case "present":
            return None
        case "range":
            first, last = match.values
            whole: ColumnElement[bool] = column.is_not(None)
            if first:
                whole = whole & (column >= _day(first))
            if last:
                whole = whole & (column <= _day(last))
            return whole
    return column == cast(_day(match.values[0]), Date)


def _day(text: str) -> date:
    found = _DATE.fullmatch(text)
    try:
        if found is None:
            raise ValueError
        return date(*(int(part) for part in found.groups()))
    except ValueError:
        raise BadRequest("A date is written as 20261122, a range of dates as 20261101-20261130.") from None
