"""QIDO-RS without its database: what a query asks for, and what an answer holds (PS3.18 10.6)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from pydicom.datadict import dictionary_VR, tag_for_keyword

from app.dicom.attributes import JsonObject
from app.errors import BadRequest

Level = Literal["study", "series", "instance"]

_TAG = re.compile(r"[0-9A-Fa-f]{8}")
_RANGE = re.compile(r"(?P<first>[\d.:]*)-(?P<last>[\d.:]*)")
_RANGE_VRS = frozenset({"DA", "TM", "DT"})
_NO_WILDCARDS = frozenset({"UI", "DA", "TM", "DT", "IS", "DS", "US", "UL", "SS", "SL", "AS", "SQ"})
_MOST_RESULTS = 1000

# PS3.18 tables 10.6.3-3 to 10.6.3-5: what an answer holds without being asked.
_STUDY = (
    *(
        "00080005",
        "00080020",
        "00080030",
        "00080050",
        "00080056",
        "00080061",
        "00080090",
        "00080201",
        "00081190",
    ),
    *(
        "00100010",
        "00100020",
        "00100021",
        "00100030",
        "00100040",
        "0020000D",
        "00200010",
        "00201206",
        "00201208",
    ),
)
_SERIES = (
    "00080005",
    "00080056",
    "00080060",
    "0008103E",
    "00080201",
    "00081190",
    "0020000E",
    "00200011",
    "00201209",
)
_SERIES_STEPS = ("00400244", "00400245", "00400275")
_INSTANCE = (
    *(
        "00080005",
        "00080016",
        "00080018",
        "00080056",
        "00080201",
        "00081190",
        "00200013",
        "00280010",
        "00280011",
    ),
    *("00280100", "00280008"),
)
_BY_DEFAULT: dict[Level, frozenset[str]] = {
    "study": frozenset(_STUDY),
    "series": frozenset((*_SERIES, *_SERIES_STEPS)),
    "instance": frozenset(_INSTANCE),
}
# What else belongs to a level (PS3.3 A.1.2 modules), for includefield: the same for all instances of it.
_STUDY_ALSO = frozenset(
    {"00081030", "00081048", "00081060", "00081080", "001021B0", "0020000D", "00321032", "00321060"}
)
_SERIES_ALSO = frozenset(
    {"00080021", "00080031", "00080070", "00080080", "00081010", "00081090", "00180015", "00181030"}
)


@dataclass(frozen=True)
class Match:
    """One condition. `how` says how `values` match the attribute `tag`:

    exact: one of the values (several for a UID list); wildcard: one value with * and ?; range: (first,
    last), either may be empty; present: any value, also none.
    """

    tag: str
    vr: str
    how: Literal["exact", "wildcard", "range", "present"]
    values: tuple[str, ...]


@dataclass(frozen=True)
class Query:
    """`include` are tags asked for by includefield, None when all were."""

    matches: tuple[Match, ...]
    include: frozenset[str] | None
    limit: int
    offset: int
    fuzzy: bool


def attribute_tag(name: str) -> str:
    """The tag, as "00100020", of an attribute named by keyword or tag. Raises BadRequest when there is no
    such.
    """
    if _TAG.fullmatch(name):
        return name.upper()
    tag = tag_for_keyword(name)
    if tag is None:
        raise BadRequest(
            f"{name[:64]!r} is no DICOM attribute; name it by keyword (PatientID) or tag (00100020)."
        )
    return f"{tag:08X}"


def attribute_vr(tag: str) -> str:
    """The value representation of a tag, "UN" for private and unknown ones."""
    try:
        return dictionary_VR(int(tag, 16)).split(" ")[0]
    except KeyError:
        return "UN"


def parse_query(parameters: Iterable[tuple[str, str]]) -> Query:
    """Read the parameters of a search (PS3.18 8.3.4). Raises BadRequest with a sentence."""
    matches: list[Match] = []
    include: set[str] | None = set()
    limit, offset, fuzzy = _MOST_RESULTS, 0, False
    for name, value in parameters:
        match name.lower():
            case "limit":
                limit = min(_count(name, value), _MOST_RESULTS)
            case "offset":
                offset = _count(name, value)
            case "fuzzymatching":
                fuzzy = value.lower() == "true"
            case "includefield":
                if value.lower() == "all":
                    include = None
                elif include is not None:
                    include |= {attribute_tag(field.split(".")[0]) for field in value.split(",") if field}
            case "accept" | "charset":
                continue
            case _:
                matches.append(_match(name, value))
    return Query(tuple(matches), None if include is None else frozenset(include), limit, offset, fuzzy)


def query_result(
    attributes: Mapping[str, Any],
    levels: Iterable[Level],
    *,
    computed: Mapping[str, Any],
    include: frozenset[str] | None,
) -> JsonObject:
    """One answer: what the levels hold by default and `include` asks for, out of an instance's stored
    attributes.

    `computed` are elements or plain values by tag (RetrieveURL, ModalitiesInStudy, the counts), which come
    before the stored ones. `levels` are all levels the search spans: study and series for a search of all
    series.
    """
    spanned = tuple(levels)
    wanted: set[str] = set().union(*(_BY_DEFAULT[level] for level in spanned))
    if "instance" in spanned:
        wanted |= set(attributes) if include is None else include
    else:
        also = {tag for tag in attributes if tag.startswith("0010")} | _STUDY_ALSO
        if "series" in spanned:
            also |= _SERIES_ALSO
        wanted |= also if include is None else include & (also | _BY_DEFAULT["study"] | _BY_DEFAULT["series"])
    result = {tag: attributes[tag] for tag in wanted if tag in attributes}
    result |= {tag: _element(tag, value) for tag, value in computed.items() if value is not None}
    return dict(sorted(result.items()))


def _element(tag: str, value: Any) -> JsonObject:
    if isinstance(value, dict):
        return value
    values = list(value) if isinstance(value, list | tuple | set | frozenset) else [value]
    return {"vr": attribute_vr(tag), "Value": values} if values else {"vr": attribute_vr(tag)}


def _match(name: str, value: str) -> Match:
    if "." in name:
        raise BadRequest(
            "Searching inside sequences is not supported; search by an attribute of study, series or image."
        )
    tag = attribute_tag(name)
    vr = attribute_vr(tag)
    text = value.strip()
    if text in ("", "*") or text == '""':
        return Match(tag, vr, "present", ())
    if vr == "UI":
        uids = tuple(uid for uid in re.split(r"[,\\]", text) if uid)
        return Match(tag, vr, "exact", uids)
    if vr in _RANGE_VRS and (found := _RANGE.fullmatch(text)):
        return Match(tag, vr, "range", (found["first"], found["last"]))
    if vr not in _NO_WILDCARDS and ("*" in text or "?" in text):
        return Match(tag, vr, "wildcard", (text,))
    return Match(tag, vr, "exact", (text,))


def _count(name: str, value: str) -> int:
    if not value.isascii() or not value.isdigit() or len(value) > 9:
        raise BadRequest(f"{name} must be a whole number from 0.")
    return int(value)
