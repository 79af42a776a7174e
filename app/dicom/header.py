"""The header of a file: what it says of patient, study and image, without decoding a pixel.

`read_header` runs in the web process on hostile bytes. Its memory and time are bounded by `part10`; pixels
are not read.
"""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import IO

from pydicom.dataset import Dataset
from pydicom.uid import UID

from app.dicom.age import age_between, parse_patient_age
from app.dicom.attributes import json_model
from app.dicom.elements import calendar_date, code_meaning, spacing, text, whole_number
from app.dicom.image_header import DICOM, ImageHeader
from app.dicom.part10 import OpenedDicom, open_dicom
from app.dicom.raster import RasterHeader, read_raster_header
from app.errors import NotAnImage, TooLarge, Unreadable

__all__ = [
    "DICOM",
    "LARGEST_PIXELS",
    "LARGEST_SIDE",
    "PLAUSIBLE_UID",
    "ImageHeader",
    "pixel_sha256",
    "read_header",
]

LARGEST_SIDE = 16_384
"""Rows or columns; the longest stitched radiographs have about 12,000."""
LARGEST_PIXELS = 64 * 2**20
"""Rows times columns; the finest mammograms and radiographs have about 30 million."""
LARGEST_PIXEL_BYTES = 2 * 2**30
"""All frames decoded; nothing larger is stored even though several frames are never decoded."""

PLAUSIBLE_UID = re.compile(r"[0-9A-Za-z][0-9A-Za-z._-]{0,63}")
"""PS3.5 9.1 has digits and dots; anonymisers that hash write letters too."""
_LONGEST_IDENTIFIER = 256
"""Characters; DICOM allows 64. What identifies a patient is never cut short, so longer ones are refused."""
_HASH_CHUNK = 2**18


def read_header(path: Path, *, with_attributes: bool = True) -> ImageHeader:
    """Read the header of a DICOM, PNG or JPEG file; `attributes` stays empty where nobody wants it.

    Raises NotAnImage when the file holds no image, Unreadable when it claims to and is damaged, TooLarge
    when its dimensions or its header pass a limit; each says what to send instead.
    """
    raster = read_raster_header(path)
    if raster is not None:
        return _header_of_raster(raster)
    with open_dicom(path) as opened:
        try:
            return _header_of_dicom(opened, with_attributes=with_attributes)
        except (NotAnImage, Unreadable, TooLarge):
            raise
        except Exception as error:
            raise Unreadable(
                "The DICOM header is damaged and cannot be read. Send the file again from its source."
            ) from error


def pixel_sha256(path: Path) -> str:
    """The hash of the value of Pixel Data in a DICOM file, as it is encoded: equal for a header revision.

    Raises as `read_header` does.
    """
    with open_dicom(path) as opened:
        if opened.pixels is None:
            raise _without_pixels(opened)
        opened.stream.seek(opened.pixels.offset)
        return _sha256_of(opened.stream, opened.pixels.length)


def _header_of_raster(raster: RasterHeader) -> ImageHeader:
    _check_dimensions(raster.rows, raster.columns, pixel_bytes=raster.rows * raster.columns * 8)
    return ImageHeader(
        media_type=raster.media_type,
        rows=raster.rows,
        columns=raster.columns,
        bits_allocated=raster.bits,
        bits_stored=raster.bits,
        samples_per_pixel=raster.channels,
    )


def _header_of_dicom(opened: OpenedDicom, *, with_attributes: bool) -> ImageHeader:
    dataset = opened.dataset
    if opened.pixels is None:
        raise _without_pixels(opened)
    rows, columns = whole_number(dataset, "Rows"), whole_number(dataset, "Columns")
    if not rows or not columns or rows < 0 or columns < 0:
        raise Unreadable(
            "The DICOM header does not say how many rows and columns the image has. Send it complete."
        )
    frames = max(whole_number(dataset, "NumberOfFrames") or 1, 1)
    samples = max(whole_number(dataset, "SamplesPerPixel") or 1, 1)
    bits = whole_number(dataset, "BitsAllocated")
    _check_dimensions(rows, columns, pixel_bytes=rows * columns * frames * samples * -(-(bits or 16) // 8))
    birth_date = calendar_date(dataset, "PatientBirthDate")
    study_date = calendar_date(dataset, "StudyDate", "SeriesDate", "AcquisitionDate", "ContentDate")
    age_from_dates = age_between(birth_date, study_date)
    age = parse_patient_age(text(dataset, "PatientAge"))
    return ImageHeader(
        media_type=DICOM,
        study_instance_uid=_uid(dataset.get("StudyInstanceUID"), "StudyInstanceUID"),
        series_instance_uid=_uid(dataset.get("SeriesInstanceUID"), "SeriesInstanceUID"),
        sop_instance_uid=_uid(
            dataset.get("SOPInstanceUID") or opened.file_meta.get("MediaStorageSOPInstanceUID"),
            "SOPInstanceUID",
        ),
        sop_class_uid=_uid(
            dataset.get("SOPClassUID") or opened.file_meta.get("MediaStorageSOPClassUID"), "SOPClassUID"
        ),
        transfer_syntax_uid=opened.transfer_syntax,
        specific_character_set=text(dataset, "SpecificCharacterSet"),
        patient_id=_identifier(dataset, "PatientID"),
        issuer_of_patient_id=_identifier(dataset, "IssuerOfPatientID"),
        patient_name=text(dataset, "PatientName"),
        patient_sex=text(dataset, "PatientSex"),
        patient_species=text(dataset, "PatientSpeciesDescription")
        or code_meaning(dataset, "PatientSpeciesCodeSequence")
        or text(dataset, "PatientBreedDescription"),
        patient_birth_date=birth_date,
        age_years=age_from_dates if age is None else age,
        age_from_dates_years=age_from_dates,
        study_date=study_date,
        study_time=_first(dataset, "StudyTime", "SeriesTime", "AcquisitionTime", "ContentTime"),
        accession_number=_identifier(dataset, "AccessionNumber"),
        study_description=text(dataset, "StudyDescription"),
        series_description=text(dataset, "SeriesDescription"),
        protocol_name=text(dataset, "ProtocolName"),
        modality=text(dataset, "Modality"),
        body_part_examined=text(dataset, "BodyPartExamined")
        or code_meaning(dataset, "AnatomicRegionSequence"),
        view_position=text(dataset, "ViewPosition") or code_meaning(dataset, "ViewCodeSequence"),
        image_laterality=_first(dataset, "ImageLaterality", "Laterality"),
        patient_orientation=text(dataset, "PatientOrientation"),
        presentation_intent=text(dataset, "PresentationIntentType"),
        image_type=text(dataset, "ImageType"),
        conversion_type=text(dataset, "ConversionType"),
        quality_control_image=text(dataset, "QualityControlImage"),
        photometric_interpretation=text(dataset, "PhotometricInterpretation"),
        station_name=text(dataset, "StationName"),
        institution_name=text(dataset, "InstitutionName"),
        manufacturer=text(dataset, "Manufacturer"),
        series_number=whole_number(dataset, "SeriesNumber"),
        instance_number=whole_number(dataset, "InstanceNumber"),
        rows=rows,
        columns=columns,
        bits_allocated=bits,
        bits_stored=whole_number(dataset, "BitsStored"),
        samples_per_pixel=samples,
        number_of_frames=frames,
        pixel_spacing=spacing(dataset, "PixelSpacing"),
        imager_pixel_spacing=spacing(dataset, "ImagerPixelSpacing"),
        burned_in_annotation=text(dataset, "BurnedInAnnotation"),
        attributes=json_model(dataset) if with_attributes else {},
    )


def _first(dataset: Dataset, *keywords: str) -> str | None:
    """The text of the first of these elements that has one."""
    return next(filter(None, (text(dataset, keyword) for keyword in keywords)), None)


def _check_dimensions(rows: int, columns: int, *, pixel_bytes: int) -> None:
    if max(rows, columns) > LARGEST_SIDE or rows * columns > LARGEST_PIXELS:
        raise TooLarge(
            f"The image claims {columns} x {rows} pixels; at most {LARGEST_SIDE} on a side and "
            f"{LARGEST_PIXELS // 2**20} million in all are taken. Send the radiograph at its original size."
        )
    if pixel_bytes > LARGEST_PIXEL_BYTES:
        raise TooLarge(
            f"All frames together would take more than {LARGEST_PIXEL_BYTES // 2**30} GB of memory. "
            "Send a single radiograph per file."
        )


def _without_pixels(opened: OpenedDicom) -> NotAnImage | Unreadable:
    """The problem of a DICOM file that ends without pixel data."""
    uid = UID(text(opened.dataset, "SOPClassUID") or text(opened.file_meta, "MediaStorageSOPClassUID") or "")
    if text(opened.dataset, "Rows") or "Image Storage" in uid.name:
        return Unreadable(
            "The DICOM file ends before its pixels. Send the file again; it was cut off on the way."
        )
    if uid.name != uid:
        return NotAnImage(
            f"The DICOM object is a {uid.name.removesuffix(' Storage')}, not an image. Send the radiograph."
        )
    return NotAnImage("The DICOM object holds no image. Send the radiograph.")


def _uid(value: object, name: str) -> str:
    uid = str(value or "").strip("\0 ")
    if not uid:
        raise Unreadable(
            f"The DICOM header has no {name}. Send the file as the device or the archive made it."
        )
    if not PLAUSIBLE_UID.fullmatch(uid):
        raise Unreadable(
            f"The {name} in the DICOM header is no UID. Send the file as the device or the archive made it."
        )
    return uid


def _identifier(dataset: Dataset, keyword: str) -> str | None:
    value = text(dataset, keyword)
    if value is not None and len(value) > _LONGEST_IDENTIFIER:
        raise Unreadable(
            f"The {keyword} in the DICOM header has more than {_LONGEST_IDENTIFIER} characters. "
            "Send the file as the device or the archive made it."
        )
    return value


def _sha256_of(stream: IO[bytes], length: int | None) -> str:
    """The hash of the next `length` bytes, or of all that follow; fewer when the stream ends."""
    digest = hashlib.sha256()
    left = length
    while left is None or left > 0:
        chunk = stream.read(_HASH_CHUNK if left is None else min(_HASH_CHUNK, left))
        if not chunk:
            break
        digest.update(chunk)
        left = None if left is None else left - len(chunk)
    return digest.hexdigest()
