"""A radiograph that names its patient wherever a file can."""

from __future__ import annotations

import io
from typing import Any

import cv2
import numpy as np
from pydicom import dcmread, dcmwrite
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.sequence import Sequence
from pydicom.uid import JPEGBaseline8Bit

from app.dicom.write import wrap

NAME, PATIENT_ID, ACCESSION, DOCTOR = "OBERHUBER", "PID-774411", "ACC-993311", "QUACKSALBER"
BIRTH, STUDY_DATE = "20210317", "20250301"
UID = "1.2.276.0.7230010.3.1.4.774411"
LUT = bytes(range(8))
PLANTED = (NAME, PATIENT_ID, ACCESSION, DOCTOR, BIRTH, UID, "Sankt-Nimmerlein", "SN-552211")


def a_chest(rows: int = 320, columns: int = 280) -> np.ndarray[Any, Any]:
    """Soft shapes without letters, 12 bits."""
    rng = np.random.default_rng(3)
    coarse = rng.integers(500, 3000, (6, 5)).astype(np.float32)
    return cv2.resize(coarse, (columns, rows), interpolation=cv2.INTER_CUBIC).clip(0, 4095).astype(np.uint16)


def a_name_in_the_white() -> np.ndarray[Any, Any]:
    """A chest of 12 bits above a white edge of 4000, in which a name stands at 4095."""
    pixels = a_chest(1200, 1000)
    pixels[1000:] = 4000
    letters = np.zeros(pixels.shape, np.uint8)
    cv2.putText(letters, "OBERHUBER ANNA 17.03.2021", (60, 1100), cv2.FONT_HERSHEY_SIMPLEX, 1, 255, 2)
    return np.where(letters > 127, 4095, pixels).astype(np.uint16)


def planted(transfer_syntax: str | None = None, *, tags: dict[str, Any] | None = None) -> bytes:
    """A DX image whose patient is named in plain, nested, private and overlay attributes and around them."""
    of_patient: dict[str, Any] = {
        "PatientName": f"{NAME}^ANNA",
        "PatientID": PATIENT_ID,
        "PatientBirthDate": BIRTH,
        "PatientSex": "F",
        "AccessionNumber": ACCESSION,
        "ReferringPhysicianName": DOCTOR,
        "OperatorsName": DOCTOR,
        "InstitutionName": "Sankt-Nimmerlein",
        "InstitutionAddress": f"{NAME} street",
        "StationName": "Sankt-Nimmerlein",
        "DeviceSerialNumber": "SN-552211",
        "StudyDescription": f"chest of {NAME}",
        "SeriesDescription": f"{NAME} pa",
        "ProtocolName": NAME,
        "ImageComments": f"born {BIRTH}",
        "AdditionalPatientHistory": f"seen by {DOCTOR}",
        "RescaleType": NAME,
        "WindowCenterWidthExplanation": NAME,
        "FilterMaterial": NAME,
        "ImageType": ["ORIGINAL", "PRIMARY", NAME],
        "StudyInstanceUID": UID,
        "SeriesInstanceUID": f"{UID}.1",
        "SOPInstanceUID": f"{UID}.1.1",
        "FrameOfReferenceUID": f"{UID}.9",
    }
    syntax = {} if transfer_syntax is None else {"transfer_syntax": transfer_syntax}
    found = dcmread(io.BytesIO(wrap(a_chest(), bits_stored=12, tags=of_patient | (tags or {}), **syntax)))
    found.preamble = f"{NAME}{PATIENT_ID}".encode().ljust(128, b"\0")
    found.file_meta.SourceApplicationEntityTitle = NAME
    found.RequestAttributesSequence = Sequence([_nested()])
    found.VOILUTSequence = Sequence([_look_up_table()])
    found.AnatomicRegionSequence = Sequence([_code("T-D3000", "SRT", f"Chest of {NAME}")])
    found.ViewCodeSequence = Sequence([_code("X-1", "99NAME", NAME)])
    block = found.private_block(0x0029, f"{NAME} HEADER", create=True)
    block.add_new(0x10, "LO", PATIENT_ID)
    block.add_new(0x11, "SQ", Sequence([_nested()]))
    found.add_new(0x60000010, "US", 8)
    found.add_new(0x60000022, "LO", NAME)
    found.add_new(0x60003000, "OW", f"{NAME} ".encode())
    found.add_new(0x50003000, "OW", f"{PATIENT_ID}{PATIENT_ID}".encode())
    found.add_new(0xFFFCFFFC, "OB", f"{NAME} ".encode())
    file = io.BytesIO()
    dcmwrite(file, found)
    return file.getvalue()


def planted_jpeg() -> bytes:
    """A JPEG in DICOM, with its patient in a comment of the JPEG."""
    grey = (a_chest() / 16).astype(np.uint8)
    jpeg = cv2.imencode(".jpg", grey)[1].tobytes()
    comment = f"{NAME} {PATIENT_ID}".encode()
    segments = b"".join(
        marker + (len(comment) + 2).to_bytes(2, "big") + comment for marker in (b"\xff\xfe", b"\xff\xe1")
    )
    found = dcmread(io.BytesIO(wrap(grey, transfer_syntax=JPEGBaseline8Bit)))
    found.PixelData = encapsulate([jpeg[:2] + segments + jpeg[2:] + comment])
    found["PixelData"].is_undefined_length = True
    file = io.BytesIO()
    dcmwrite(file, found)
    return file.getvalue()


def _nested() -> Dataset:
    inner, outer = Dataset(), Dataset()
    inner.PatientName, inner.PatientID, inner.StudyDate = NAME, PATIENT_ID, STUDY_DATE
    inner.ReferencedSOPInstanceUID = f"{UID}.1.1"
    inner.private_block(0x0029, NAME, create=True).add_new(0x10, "LO", NAME)
    outer.RequestedProcedureDescription = f"for {DOCTOR}"
    outer.ReferencedStudySequence = Sequence([inner])
    return outer


def _look_up_table() -> Dataset:
    table = Dataset()
    table.LUTDescriptor, table.LUTExplanation = [4, 0, 12], NAME
    table.LUTData = LUT
    return table


def _code(value: str, scheme: str, meaning: str) -> Dataset:
    code = Dataset()
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = value, scheme, meaning
    return code
