"""Read single values out of a dataset that may break every rule: a value or None, never an exception."""

from __future__ import annotations

import math
import re
from datetime import date
from functools import cache
from typing import Any

from pydicom.datadict import tag_for_keyword
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.tag import BaseTag

from app.dicom.attributes import clean_text

_DATE = re.compile(r"(\d{4})[.\-/ ]?(\d{2})[.\-/ ]?(\d{2})")


def value_of(dataset: Dataset, keyword: str) -> Any:
    """The element's value as pydicom gives it, or None when it is absent, empty or unreadable."""
    tag = _tag(keyword)
    try:
        # By tag, because by keyword pydicom goes through __getattr__, four times as slow.
        value = dataset[tag].value if tag in dataset else None
    except Exception:  # noqa: BLE001 - pydicom raises anything on a broken value
        return None
    return None if value is None or value == "" else value


def text(dataset: Dataset, keyword: str) -> str | None:
    """The value as clean text, several values joined by a backslash as in the file; None when empty."""
    value = value_of(dataset, keyword)
    if value is None:
        return None
    if (
        isinstance(value, str | int | float)
        or not hasattr(value, "__iter__")
        or hasattr(value, "family_name")
    ):
        joined = str(value)
    else:
        joined = "\\".join(str(part) for part in value)
    return clean_text(joined) or None


def first_number(dataset: Dataset, keyword: str) -> float | None:
    """The first value as a finite number, or None."""
    numbers = all_numbers(dataset, keyword)
    return numbers[0] if numbers else None


def all_numbers(dataset: Dataset, keyword: str) -> tuple[float, ...]:
    """All values as finite numbers; empty when any of them is none."""
    value = value_of(dataset, keyword)
    if value is None:
        value = _unread_text(dataset, keyword)
    if isinstance(value, str):
        value = value.split("\\")
    elif not hasattr(value, "__iter__"):
        value = [value]
    numbers = []
    for part in value:
        try:
            number = float(part)
        except (TypeError, ValueError):
            return ()
        if not math.isfinite(number):
            return ()
        numbers.append(number)
    return tuple(numbers)


def whole_number(dataset: Dataset, keyword: str) -> int | None:
    """The first value as an integer, or None; "1.0" counts as 1."""
    number = first_number(dataset, keyword)
    return None if number is None else int(number)


def spacing(dataset: Dataset, keyword: str) -> tuple[float, float] | None:
    """Row and column spacing in mm, or None unless both are positive."""
    numbers = all_numbers(dataset, keyword)
    if len(numbers) != 2 or min(numbers) <= 0:
        return None
    return numbers[0], numbers[1]


def calendar_date(dataset: Dataset, *keywords: str) -> date | None:
    """The first of the named dates that is one; "20240131", "2024.01.31" (ACR-NEMA) and "2024-01-31" are
    read.
    """
    for keyword in keywords:
        written = text(dataset, keyword)
        if written is None:
            continue
        if match := _DATE.match(written):
            try:
                return date(int(match[1]), int(match[2]), int(match[3]))
            except ValueError:
                continue
    return None


def code_meaning(dataset: Dataset, sequence_keyword: str) -> str | None:
    """The code meaning of the first item of a code sequence, or None."""
    sequence = value_of(dataset, sequence_keyword)
    if not sequence or not hasattr(sequence, "__getitem__") or not isinstance(sequence[0], Dataset):
        return None
    return text(sequence[0], "CodeMeaning")


@cache
def _tag(keyword: str) -> BaseTag:
    tag = tag_for_keyword(keyword)
    assert tag is not None, keyword
    return BaseTag(tag)


def _unread_text(dataset: Dataset, keyword: str) -> str | None:
    """What the file has for a number that pydicom would not convert (an IS of "1.0")."""
    try:
        item = dataset.get_item(_tag(keyword))
    except Exception:  # noqa: BLE001 - as above
        return None
    if isinstance(item, RawDataElement) and isinstance(item.value, bytes):
        return item.value.decode("ascii", "replace").strip("\0 ")
    return None
