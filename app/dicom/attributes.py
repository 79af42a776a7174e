"""A dataset as the DICOM JSON model (PS3.18 annex F), with text that any database takes.

Values that cannot be read are left out rather than guessed; nothing raises.
"""

from __future__ import annotations

import base64
import math
import re
from collections.abc import Callable
from typing import Any

from pydicom.dataelem import DataElement, RawDataElement
from pydicom.dataset import Dataset
from pydicom.valuerep import PersonName

JsonObject = dict[str, Any]

_BINARY = frozenset({"OB", "OD", "OF", "OL", "OV", "OW", "UN"})
_INTEGER = frozenset({"US", "SS", "UL", "SL", "UV", "SV", "IS"})
_DECIMAL = frozenset({"DS", "FL", "FD"})
_LARGEST_EXACT = 2**53
_MOST_VALUES = 128
# PostgreSQL refuses NUL in text, and lone surrogates are no UTF-8.
_UNSTORABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff]")


def clean_text(text: str) -> str:
    """The text without control characters, lone surrogates and outer blanks."""
    return _UNSTORABLE.sub("", text).strip()


def json_model(
    dataset: Dataset, *, inline_bytes: int = 0, keep: Callable[[int], bool] | None = None
) -> JsonObject:
    """The dataset as `{"00100010": {"vr": "PN", "Value": [...]}, ...}` in the order of its tags.

    Binary values of at most `inline_bytes` become InlineBinary, longer ones are left out, as are group
    lengths and values that were too long to be read; without any inline bytes, lookup tables are bulk data
    and left out. `keep`, when given, chooses the top-level tags.
    """
    model: JsonObject = {}
    for tag in sorted(dataset.keys()):
        if tag.element == 0 or (keep is not None and not keep(int(tag))):
            continue
        raw = dataset.get_item(tag)
        if isinstance(raw, RawDataElement) and raw.value is None and raw.length:
            continue
        try:
            element = dataset[tag]
            encoded = _encode(element, inline_bytes)
        except Exception:  # noqa: BLE001, S112
            # One unreadable value may not cost the others; pydicom raises anything from KeyError to
            # struct.error.
            continue
        if encoded is not None:
            model[f"{int(tag):08X}"] = encoded
    return model


def _encode(element: DataElement, inline_bytes: int) -> JsonObject | None:
    vr = str(element.VR)
    if vr == "SQ":
        items = [json_model(item, inline_bytes=inline_bytes) for item in element.value]
        return {"vr": vr, "Value": items} if items else {"vr": vr}
    if vr in _BINARY:
        return _encode_binary(vr, element.value, inline_bytes)
    if element.is_empty:
        return {"vr": vr}
    if inline_bytes == 0 and element.VM > _MOST_VALUES:
        return None
    value = element.value
    values = list(value) if element.VM > 1 else [value]
    if vr == "PN":
        encoded: list[Any] = [_person_name(name) for name in values]
    elif vr in _INTEGER:
        encoded = [_integer(number) for number in values]
    elif vr in _DECIMAL:
        encoded = [_decimal(number) for number in values]
    elif vr == "AT":
        encoded = [f"{int(tag):08X}" for tag in values]
    elif len(vr) != 2:
        return None  # "US or SS" that could not be told apart
    else:
        encoded = [clean_text(str(text)) or None for text in values]
    return {"vr": vr, "Value": encoded}


def _encode_binary(vr: str, value: Any, inline_bytes: int) -> JsonObject | None:
    if value is None or len(value) == 0:
        return {"vr": vr}
    if len(value) > inline_bytes:
        return None
    return {"vr": vr, "InlineBinary": base64.b64encode(bytes(value)).decode("ascii")}


def _person_name(name: PersonName | str) -> JsonObject | None:
    groups = (clean_text(group) for group in str(name).split("=", 2))
    labelled = zip(("Alphabetic", "Ideographic", "Phonetic"), groups, strict=False)
    return {label: group for label, group in labelled if group} or None


def _integer(number: Any) -> int | str | None:
    if number is None or number == "":
        return None
    whole = int(number)
    return whole if -_LARGEST_EXACT < whole < _LARGEST_EXACT else str(whole)


def _decimal(number: Any) -> float | int | str | None:
    if number is None or number == "":
        return None
    value = float(number)
    if not math.isfinite(value):
        return str(number)
    return int(value) if value.is_integer() and abs(value) < _LARGEST_EXACT else value
