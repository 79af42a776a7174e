"""Write real DICOM files: a pixel array, a JPEG or a PNG wrapped as a DX or CR image in any transfer syntax.

For sample studies, the test sender, the tests and the benches.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import cv2
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.filewriter import dcmwrite
from pydicom.uid import UID, ExplicitVRLittleEndian, JPEGBaseline8Bit, generate_uid

from app.dicom.encode import ENCAPSULATED, encapsulated
from app.dicom.phantom import PhantomStyle, draw_phantom
from app.dicom.raster import read_raster_header

SOP_CLASSES = {
    "DX": "1.2.840.10008.5.1.4.1.1.1.1",
    "CR": "1.2.840.10008.5.1.4.1.1.1",
    "CT": "1.2.840.10008.5.1.4.1.1.2",
}
_SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"
_IMPLEMENTATION = "2.25.285937419127390617294516409217"


def wrap(
    source: NDArray[Any] | Path,
    *,
    transfer_syntax: str = ExplicitVRLittleEndian,
    bits_stored: int | None = None,
    photometric: str = "MONOCHROME2",
    modality: str = "DX",
    patient_age: str | None = "003Y",
    patient_id: str = "PHANTOM",
    patient_name: str = "PHANTOM^WRAPPED",
    study_instance_uid: str | None = None,
    series_instance_uid: str | None = None,
    sop_instance_uid: str | None = None,
    tags: Mapping[str, Any] | None = None,
    part10: bool = True,
) -> bytes:
    """Return the bytes of a DICOM file that holds the pixels and believable tags.

    `source` is an array (rows, columns) or (rows, columns, 3), unsigned or signed, of 8, 16 or 32 bits, or
    the path of a JPEG or PNG. A grey 8-bit JPEG asked for as JPEG Baseline is embedded as it is. `tags` are
    set last, by keyword, over all others; None deletes one. Without `part10` the file is a bare dataset: no
    preamble, no file meta. Raises ValueError when the transfer syntax cannot hold the pixels.
    """
    codestream: bytes | None = None
    if isinstance(source, Path):
        codestream = _embeddable_jpeg(source) if transfer_syntax == JPEGBaseline8Bit else None
        pixels = cv2.imread(str(source), cv2.IMREAD_GRAYSCALE | cv2.IMREAD_ANYDEPTH)
        if pixels is None:
            raise ValueError(f"{source.name} is no JPEG or PNG that can be read")
    else:
        pixels = source
    dataset = _describe(pixels, bits_stored, photometric)
    dataset.SOPClassUID = SOP_CLASSES.get(modality, _SECONDARY_CAPTURE)
    dataset.Modality = modality
    dataset.SOPInstanceUID = sop_instance_uid or generate_uid(prefix=None)
    dataset.StudyInstanceUID = study_instance_uid or generate_uid(prefix=None)
    dataset.SeriesInstanceUID = series_instance_uid or generate_uid(prefix=None)
    dataset.PatientID, dataset.PatientName, dataset.PatientAge = patient_id, patient_name, patient_age or ""
    _add_usual_tags(dataset)
    _add_pixels(dataset, pixels, transfer_syntax, codestream)
    for keyword, value in (tags or {}).items():
        if value is None:
            if keyword in dataset:
                delattr(dataset, keyword)
        else:
            setattr(dataset, keyword, value)
    return _to_bytes(dataset, transfer_syntax, part10=part10)


def write_phantom(
    *,
    style: PhantomStyle = "normal",
    seed: int = 0,
    rows: int = 1280,
    columns: int = 1080,
    patient_age: str | None = "003Y",
    patient_id: str | None = None,
    study_instance_uid: str | None = None,
    series_instance_uid: str | None = None,
    sop_instance_uid: str | None = None,
    transfer_syntax: str = ExplicitVRLittleEndian,
    tags: Mapping[str, Any] | None = None,
) -> bytes:
    """Return a DICOM file of a generated phantom that says so in its name, its comments and its pixels."""
    phantom = draw_phantom(style=style, seed=seed, rows=rows, columns=columns)
    marked: dict[str, Any] = {
        "ImageType": ["DERIVED", "PRIMARY", "", "PHANTOM"],
        "ImageComments": "Generated phantom, not a patient",
        "DerivationDescription": f"Generated phantom ({style}, seed {seed}), not a patient",
        "BurnedInAnnotation": "YES",
        "StudyDescription": f"PHANTOM: {style}",
        "WindowCenter": str(2 ** (phantom.bits - 1)),
        "WindowWidth": str(2**phantom.bits),
    }
    return wrap(
        phantom.pixels,
        bits_stored=phantom.bits,
        transfer_syntax=transfer_syntax,
        patient_age=patient_age,
        patient_id=patient_id or f"PHANTOM-{seed:04d}",
        patient_name=f"PHANTOM^{style.title().replace(' ', '-')}",
        study_instance_uid=study_instance_uid,
        series_instance_uid=series_instance_uid,
        sop_instance_uid=sop_instance_uid,
        tags=marked | dict(tags or {}),
    )


def _describe(pixels: NDArray[Any], bits_stored: int | None, photometric: str) -> Dataset:
    """The Image Pixel Module (PS3.3 C.7.6.3) of the array."""
    if pixels.ndim not in (2, 3) or pixels.dtype.kind not in "ui" or pixels.dtype.itemsize not in (1, 2, 4):
        raise ValueError(f"pixels of shape {pixels.shape} and type {pixels.dtype} make no radiograph")
    dataset = Dataset()
    dataset.Rows, dataset.Columns = int(pixels.shape[0]), int(pixels.shape[1])
    dataset.BitsAllocated = 8 * pixels.dtype.itemsize
    dataset.BitsStored = bits_stored or dataset.BitsAllocated
    dataset.HighBit = dataset.BitsStored - 1
    dataset.PixelRepresentation = int(pixels.dtype.kind == "i")
    dataset.SamplesPerPixel = 1 if pixels.ndim == 2 else int(pixels.shape[2])
    dataset.PhotometricInterpretation = (
        photometric if pixels.ndim == 2 or photometric != "MONOCHROME2" else "RGB"
    )
    if pixels.ndim == 3:
        dataset.PlanarConfiguration = 0
    return dataset


def _add_usual_tags(dataset: Dataset) -> None:
    dataset.SpecificCharacterSet = "ISO_IR 192"
    dataset.StudyDate = dataset.SeriesDate = dataset.ContentDate = dataset.AcquisitionDate = "20250301"
    dataset.StudyTime = dataset.ContentTime = dataset.AcquisitionTime = "101500"
    dataset.PatientBirthDate = dataset.PatientSex = dataset.AccessionNumber = (
        dataset.ReferringPhysicianName
    ) = ""
    dataset.StudyID = ""
    dataset.ImageType = ["ORIGINAL", "PRIMARY", ""]
    dataset.Manufacturer = "FirstRead"
    dataset.ManufacturerModelName = "FirstRead test sender"
    dataset.SeriesNumber, dataset.InstanceNumber = 1, 1
    dataset.BodyPartExamined, dataset.ViewPosition = "CHEST", "AP"
    dataset.PatientOrientation = ["L", "F"]
    dataset.PresentationIntentType, dataset.PresentationLUTShape = "FOR PRESENTATION", "IDENTITY"
    if dataset.PhotometricInterpretation == "MONOCHROME1":
        dataset.PresentationLUTShape = "INVERSE"
    dataset.ImagerPixelSpacing = ["0.2", "0.2"]
    dataset.RescaleIntercept, dataset.RescaleSlope, dataset.RescaleType = "0", "1", "US"
    dataset.BurnedInAnnotation = "NO"


def _add_pixels(
    dataset: Dataset, pixels: NDArray[Any], transfer_syntax: str, codestream: bytes | None
) -> None:
    if transfer_syntax in ENCAPSULATED:
        dataset.PixelData = encapsulated(
            pixels, transfer_syntax, int(dataset.BitsStored), codestream=codestream
        )
        dataset["PixelData"].VR = "OB"
        dataset["PixelData"].is_undefined_length = True
        if pixels.ndim == 3 and transfer_syntax == JPEGBaseline8Bit:
            dataset.PhotometricInterpretation = "YBR_FULL_422"
        return
    little = UID(transfer_syntax).is_little_endian
    raw = pixels.astype(pixels.dtype.newbyteorder("<" if little else ">")).tobytes()
    dataset.PixelData = raw + b"\0" * (len(raw) % 2)
    dataset["PixelData"].VR = (
        "OB" if pixels.dtype.itemsize == 1 and not UID(transfer_syntax).is_implicit_VR else "OW"
    )


def _embeddable_jpeg(path: Path) -> bytes | None:
    header = read_raster_header(path)
    if header is None or header.media_type != "image/jpeg" or header.channels != 1 or header.bits != 8:
        return None
    return path.read_bytes()


def _to_bytes(dataset: Dataset, transfer_syntax: str, *, part10: bool) -> bytes:
    uid = UID(transfer_syntax)
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = uid
    meta.MediaStorageSOPClassUID = dataset.get("SOPClassUID", "")
    meta.MediaStorageSOPInstanceUID = dataset.get("SOPInstanceUID", "")
    meta.ImplementationClassUID = UID(_IMPLEMENTATION)
    buffer = io.BytesIO()
    if part10:
        whole = FileDataset(buffer, dataset, preamble=b"\0" * 128, file_meta=meta)
        dcmwrite(buffer, whole, enforce_file_format=bool(meta.MediaStorageSOPInstanceUID))
    else:
        dcmwrite(buffer, dataset, implicit_vr=uid.is_implicit_VR, little_endian=uid.is_little_endian)
    return buffer.getvalue()
