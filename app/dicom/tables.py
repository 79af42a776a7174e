"""Read look-up tables, windows and padding out of a header: everything between stored samples and
brightness.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import Any, cast, get_args

import numpy as np
from numpy.typing import NDArray
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset

from app.dicom.elements import all_numbers, first_number, text, value_of, whole_number
from app.dicom.windowing import VoiLut, Window, WindowFunction, usable

_FULL_TABLE = 65_536


@dataclass(frozen=True)
class LookupTable:
    """The value `first` and below map to `entries[0]`, the next to the next (PS3.3 C.11.1.1)."""

    first: int
    entries: NDArray[np.uint16]
    bits: int
    explanation: str

    def __call__(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Map values; those beyond the ends take the first and last entry."""
        index = np.clip(np.rint(values) - self.first, 0, len(self.entries) - 1).astype(np.intp)
        return np.asarray(self.entries[index], dtype=np.float64)


def read_modality(
    dataset: Dataset, *, signed: bool, big_endian: bool
) -> tuple[LookupTable | None, float, float]:
    """The Modality LUT, or slope and intercept (PS3.3 C.11.1); slope 1 and intercept 0 when there is
    neither.
    """
    table = _first_table(dataset, "ModalityLUTSequence", signed=signed, big_endian=big_endian)
    slope, intercept = first_number(dataset, "RescaleSlope"), first_number(dataset, "RescaleIntercept")
    return table, slope or 1.0, intercept or 0.0


def read_voi_lut(dataset: Dataset, *, signed: bool, big_endian: bool) -> VoiLut | None:
    """The first item of the VOI LUT Sequence, or None when it is absent or broken."""
    table = _first_table(dataset, "VOILUTSequence", signed=signed, big_endian=big_endian)
    if table is None:
        return None
    return VoiLut(table.first, tuple(int(entry) for entry in table.entries), table.bits, table.explanation)


def read_windows(dataset: Dataset) -> tuple[Window, ...]:
    """The header's windows in its order, without those whose width their function does not allow."""
    function = (text(dataset, "VOILUTFunction") or "LINEAR").upper()
    if function not in get_args(WindowFunction):
        function = "LINEAR"
    centers, widths = all_numbers(dataset, "WindowCenter"), all_numbers(dataset, "WindowWidth")
    explanations = (text(dataset, "WindowCenterWidthExplanation") or "").split("\\")
    explanations += [""] * len(centers)
    windows = (
        Window(center, width, explanation, cast("WindowFunction", function))
        for center, width, explanation in zip(centers, widths, explanations, strict=False)
    )
    return tuple(window for window in windows if usable(window))


def read_padding(dataset: Dataset, *, signed: bool, allocated: int) -> tuple[int, int] | None:
    """Lowest and highest stored value that is padding (PS3.3 C.7.5.1.1.2), or None."""
    value = whole_number(dataset, "PixelPaddingValue")
    if value is None:
        value = _raw_word(dataset, "PixelPaddingValue")
    if value is None:
        return None
    limit = whole_number(dataset, "PixelPaddingRangeLimit")
    if limit is None:
        limit = _raw_word(dataset, "PixelPaddingRangeLimit")
    ends = [value, value if limit is None else limit]
    if signed:
        half = 2 ** (allocated - 1)
        ends = [end - 2 * half if end >= half else end for end in ends]
    return min(ends), max(ends)


def palette_brightness(dataset: Dataset, *, big_endian: bool) -> LookupTable | None:
    """The red, green and blue palettes (PS3.3 C.7.9) as one table of brightness, 8 bits; None when broken."""
    channels = []
    for colour in ("Red", "Green", "Blue"):
        table = _table(
            dataset,
            f"{colour}PaletteColorLookupTableDescriptor",
            f"{colour}PaletteColorLookupTableData",
            signed=False,
            big_endian=big_endian,
        )
        if table is None:
            return None
        channels.append(table.entries.astype(np.float64) * (255 / (2**table.bits - 1)))
    if len({len(channel) for channel in channels}) != 1:
        return None
    brightness = 0.299 * channels[0] + 0.587 * channels[1] + 0.114 * channels[2]
    first = (all_numbers(dataset, "RedPaletteColorLookupTableDescriptor") or (0, 0.0))[1]
    return LookupTable(int(first), np.rint(brightness).astype(np.uint16), 8, "")


def _first_table(dataset: Dataset, keyword: str, *, signed: bool, big_endian: bool) -> LookupTable | None:
    sequence = value_of(dataset, keyword)
    if not sequence or not isinstance(sequence[0], Dataset):
        return None
    return _table(sequence[0], "LUTDescriptor", "LUTData", signed=signed, big_endian=big_endian)


def _table(
    item: Dataset, descriptor_keyword: str, data_keyword: str, *, signed: bool, big_endian: bool
) -> LookupTable | None:
    descriptor = _words(item, descriptor_keyword, big_endian=big_endian)
    if descriptor is None or len(descriptor) < 3:
        return None
    count = int(descriptor[0]) or _FULL_TABLE
    first = int(descriptor[1])
    if signed and first >= 2**15:
        first -= 2**16
    data = _raw_value(item, data_keyword)
    entries: NDArray[np.uint16] | None
    if isinstance(data, bytes) and count <= len(data) <= count + 1:
        # 8-bit entries, one in each byte; in big endian the bytes come swapped in pairs.
        entries = np.frombuffer(data, "u1").astype(np.uint16)
        if big_endian and len(data) % 2 == 0:
            entries = entries.reshape(-1, 2)[:, ::-1].reshape(-1)
    else:
        entries = _words(item, data_keyword, big_endian=big_endian)
    if entries is None or len(entries) < count:
        return None
    entries = np.ascontiguousarray(entries[:count])
    highest = int(entries.max())
    # Descriptors lie about the bits; never fewer than the entries need.
    bits = min(max(int(descriptor[2]) & 0xFF, 1), 16)
    return LookupTable(first, entries, max(bits, highest.bit_length()), text(item, "LUTExplanation") or "")


def _raw_value(dataset: Dataset, keyword: str) -> Any:
    """The bytes as they stand in the file, or the value when it was parsed already."""
    try:
        item = dataset.get_item(keyword)
    except Exception:  # noqa: BLE001 - pydicom raises anything on a broken value
        return None
    return None if item is None else item.value


def _words(dataset: Dataset, keyword: str, *, big_endian: bool) -> NDArray[np.uint16] | None:
    """The value as 16-bit words, whichever of US, SS, OW or nothing its VR says."""
    value = _raw_value(dataset, keyword)
    if isinstance(value, bytes):
        order = ">" if big_endian and _is_raw(dataset, keyword) else "<"
        return np.frombuffer(value[: len(value) // 2 * 2], f"{order}u2").astype(np.uint16)
    if value is None:
        return None
    try:
        return np.asarray([int(number) & 0xFFFF for number in value], dtype=np.uint16)
    except (TypeError, ValueError):
        return None


def _is_raw(dataset: Dataset, keyword: str) -> bool:
    return isinstance(dataset.get_item(keyword), RawDataElement) or sys.byteorder == "big"


def _raw_word(dataset: Dataset, keyword: str) -> int | None:
    words = _words(dataset, keyword, big_endian=False)
    return int(words[0]) if words is not None and len(words) else None
