"""Radiographs without their patients, by the Basic Application Level Confidentiality Profile of PS3.15 E.

`app.dicom.confidentiality` has the tables. Pictures that are no DICOM are drawn anew, without metadata.
"""

from __future__ import annotations

import re
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from pydicom import dcmread, dcmwrite
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.encaps import encapsulate, generate_frames
from pydicom.uid import UID, ExplicitVRLittleEndian, RLELossless

from app.dicom import confidentiality as profile
from app.dicom.anatomy import BodyPart, body_part_of
from app.dicom.codestream_comments import without_comments
from app.dicom.elements import text, whole_number
from app.dicom.image_header import ImageHeader
from app.dicom.part10 import open_dicom
from app.dicom.projection import View, view_of
from app.dicom.pseudonyms import Pseudonyms
from app.errors import NotAnImage, Unreadable

REMOVED, SHIFTED = "removed", "shifted"
METHOD = "FirstRead: DICOM PS3.15 Basic Application Level Confidentiality Profile"
_IMPLEMENTATION = UID("2.25.285937419127390617294516409217")
_CODE_STRING = re.compile(r"[A-Z0-9_ ]{0,16}")
_NUMBERS = frozenset({"DS", "IS"})
_BINARY = frozenset({"US", "SS", "UL", "SL", "FL", "FD", "OB", "OW", "US or SS", "OB or OW", "US or OW"})
_CAPTURED = "1.2.840.10008.5.1.4.1.1.7"
_VIEWS = {View.AP: "AP", View.PA: "PA", View.LATERAL: "LL"}
_OF_PIXELS_AS_SHOWN = frozenset(
    {
        *("RescaleIntercept", "RescaleSlope", "RescaleType", "WindowCenter", "WindowWidth", "VOILUTFunction"),
        *("ModalityLUTSequence", "VOILUTSequence", "PresentationLUTSequence", "PixelPaddingValue"),
        *("PixelPaddingRangeLimit", "SmallestImagePixelValue", "LargestImagePixelValue", "NumberOfFrames"),
        *("PlanarConfiguration", "PixelIntensityRelationship", "PixelIntensityRelationshipSign"),
    }
)


def may_show_its_patient(header: ImageHeader) -> bool:
    """True where the header says that words are burned in, or that the image was captured from a screen."""
    said = (header.burned_in_annotation or "").strip().upper()
    return said == "YES" or (header.sop_class_uid or "").startswith(_CAPTURED)


def deidentify(
    source: Path,
    target: Path,
    *,
    patient_key: str,
    names: Pseudonyms,
    dates: str,
    masked: NDArray[np.uint8] | None = None,
) -> None:
    """`target` is the image at `source` without its patient, in the same transfer syntax.

    `dates` are removed or shifted. `masked`, where given, is the picture as displayed, (rows, columns), with
    its letters painted over: it takes the place of the pixels. Raises Unreadable, NotAnImage or TooLarge.
    """
    with open_dicom(source) as opened:
        syntax = opened.transfer_syntax
    try:
        found = dcmread(source, force=True)
        kept = _kept(found)
    except (ValueError, KeyError, OSError, AttributeError, TypeError, NotImplementedError) as error:
        raise Unreadable("The DICOM file is damaged; its attributes cannot be read.") from error
    if "PixelData" not in found:
        raise NotAnImage("The DICOM object holds no pixels that can be passed on.")
    _place_pixels(found, kept, UID(syntax), masked)
    _name(found, kept, patient_key=patient_key, names=names)
    _date(found, kept, days=names.days(patient_key) if dates == SHIFTED else None)
    _declare(kept, dates=dates, masked=masked is not None)
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian if masked is not None else UID(syntax)
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = kept.SOPClassUID, kept.SOPInstanceUID
    meta.ImplementationClassUID = _IMPLEMENTATION
    dcmwrite(
        target, FileDataset(str(target), kept, preamble=b"\0" * 128, file_meta=meta), enforce_file_format=True
    )


def redraw(source: Path, target: Path, *, masked: NDArray[np.uint8] | None = None) -> None:
    """`target` is a grey PNG of the PNG or JPEG at `source`, or of `masked`; 16 bits stay 16."""
    picture: Any = masked
    if picture is None:
        picture = cv2.imread(str(source), cv2.IMREAD_GRAYSCALE | cv2.IMREAD_ANYDEPTH)
    if picture is None:
        raise Unreadable("The picture cannot be read.")
    target.write_bytes(cv2.imencode(".png", picture)[1].tobytes())


def view_word(view: str) -> str:
    """AP, PA or LL; empty for any other word."""
    return _VIEWS.get(view_of(view), "")


def _kept(found: Dataset) -> Dataset:
    kept = Dataset()
    for keyword in sorted(profile.KEPT - {"PixelData"}):
        if keyword in found and _is_clean(found[keyword]):
            kept[keyword] = found[keyword]
    for keyword, inner in profile.KEPT_SEQUENCES.items():
        if items := [_only(item, inner) for item in found.get(keyword) or ()]:
            setattr(kept, keyword, items)
    for keyword in profile.CODED_SEQUENCES:
        codes = [code for item in found.get(keyword) or () if (code := _known_code(item)) is not None]
        if codes:
            setattr(kept, keyword, codes)
    kept.ImageType = [word for word in found.get("ImageType") or () if word in profile.IMAGE_TYPES][:2]
    kept.ViewPosition = view_word(text(found, "ViewPosition") or "")
    if body_part_of(text(found, "BodyPartExamined"), free_text=False) is BodyPart.CHEST:
        kept.BodyPartExamined = "CHEST"
    return kept


def _only(item: Dataset, keywords: frozenset[str]) -> Dataset:
    some = Dataset()
    for keyword in keywords:
        if keyword in item and (keyword == "ModalityLUTType" or _is_clean(item[keyword])):
            some[keyword] = item[keyword]
    if "ModalityLUTType" in some:
        some.ModalityLUTType = "US"
    return some


def _known_code(item: Dataset) -> Dataset | None:
    value, scheme = text(item, "CodeValue"), text(item, "CodingSchemeDesignator")
    meaning = profile.KNOWN_CODES.get((value or "", scheme or ""))
    return _code(value or "", scheme or "", meaning) if meaning else None


def _code(value: str, scheme: str, meaning: str) -> Dataset:
    code = Dataset()
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = value, scheme, meaning
    return code


def _is_clean(element: DataElement) -> bool:
    """True of numbers and code strings; what should be one and is words is not kept."""
    values = element.value if element.VM > 1 else [element.value]
    if element.VR in _BINARY:
        return True
    if element.VR in _NUMBERS:
        return all(_is_number(value) for value in values)
    if element.VR == "CS":
        return all(_CODE_STRING.fullmatch(str(value or "")) for value in values)
    return element.VR == "UI"


def _is_number(value: object) -> bool:
    try:
        float(str(value or 0))
    except ValueError:
        return False
    return True


def _name(found: Dataset, kept: Dataset, *, patient_key: str, names: Pseudonyms) -> None:
    for keyword in profile.EMPTIED:
        setattr(kept, keyword, "")
    kept.PatientID = names.patient(patient_key)
    kept.PatientName = kept.PatientID
    for keyword in sorted(profile.REPLACED_UIDS):
        if uid := text(found, keyword):
            setattr(kept, keyword, names.uid(uid))
    if "SOPInstanceUID" not in kept or "SOPClassUID" not in kept:
        raise Unreadable("The DICOM header does not say which image it is.")


def _date(found: Dataset, kept: Dataset, *, days: int | None) -> None:
    kept.StudyDate = ""
    if days is None:
        return
    for keyword in profile.DATES:
        said = re.fullmatch(r"(\d{4})[.]?(\d{2})[.]?(\d{2})", text(found, keyword) or "")
        if said is None:
            continue
        try:
            moved = date(*(int(part) for part in said.groups())) - timedelta(days=days)
        except (ValueError, OverflowError):
            continue
        setattr(kept, keyword, f"{moved:%Y%m%d}")


def _declare(kept: Dataset, *, dates: str, masked: bool) -> None:
    options = [profile.BASIC_PROFILE]
    if masked:
        options.append(profile.CLEAN_PIXEL_DATA)
        kept.BurnedInAnnotation = "NO"
    if dates == SHIFTED:
        options.append(profile.MODIFIED_DATES)
    kept.PatientIdentityRemoved = "YES"
    kept.DeidentificationMethod = METHOD
    kept.DeidentificationMethodCodeSequence = [
        _code(option.value, "DCM", option.meaning) for option in options
    ]
    kept.LongitudinalTemporalInformationModified = "MODIFIED" if dates == SHIFTED else "REMOVED"


def _place_pixels(found: Dataset, kept: Dataset, syntax: UID, masked: NDArray[np.uint8] | None) -> None:
    if masked is not None:
        _as_shown(kept, masked)
    elif syntax.is_encapsulated:
        frames = generate_frames(
            found.PixelData, number_of_frames=max(whole_number(found, "NumberOfFrames") or 1, 1)
        )
        clean = [frame if syntax == RLELossless else without_comments(frame) for frame in frames]
        kept.PixelData = encapsulate(clean)
        kept["PixelData"].VR = "OB"
        kept["PixelData"].is_undefined_length = True
    else:
        kept.PixelData = _without_foreign_bits(found, syntax)
        kept["PixelData"].VR = found["PixelData"].VR


def _as_shown(kept: Dataset, masked: NDArray[np.uint8]) -> None:
    for keyword in _OF_PIXELS_AS_SHOWN:
        if keyword in kept:
            del kept[keyword]
    kept.Rows, kept.Columns = masked.shape
    kept.BitsAllocated = kept.BitsStored = 8
    kept.HighBit, kept.PixelRepresentation, kept.SamplesPerPixel = 7, 0, 1
    kept.PhotometricInterpretation, kept.PresentationLUTShape = "MONOCHROME2", "IDENTITY"
    kept.ImageType = ["DERIVED", "PRIMARY"]
    raw = np.ascontiguousarray(masked).tobytes()
    kept.PixelData = raw + b"\0" * (len(raw) % 2)
    kept["PixelData"].VR = "OB"


def _without_foreign_bits(found: Dataset, syntax: UID) -> bytes:
    """The samples with zero, or the sign, in bits that are not theirs, in which overlays used to be kept."""
    raw: bytes = found.PixelData
    stored, high = whole_number(found, "BitsStored") or 16, whole_number(found, "HighBit") or 15
    if whole_number(found, "BitsAllocated") != 16 or not 0 < stored <= high + 1 <= 16 or stored == 16:
        return raw
    signed = whole_number(found, "PixelRepresentation") == 1
    kind = np.dtype(f"{'<' if syntax.is_little_endian else '>'}{'i' if signed else 'u'}2")
    samples = np.frombuffer(raw, kind, count=len(raw) // 2)
    low = high + 1 - stored
    cleaned = ((samples << (15 - high)) >> (15 - high + low)) << low
    return cleaned.astype(kind).tobytes()
