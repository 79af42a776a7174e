"""What WADO-RS gives of a stored file without decoding it: metadata, frames as stored, Part 10."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from pydicom.dataset import FileMetaDataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_file_meta_info
from pydicom.uid import (
    HTJ2K,
    JPEG2000,
    UID,
    ExplicitVRLittleEndian,
    HTJ2KLossless,
    HTJ2KLosslessRPCL,
    JPEG2000Lossless,
    JPEGLSLossless,
    JPEGLSNearLossless,
    RLELossless,
)

from app.dicom.attributes import JsonObject, json_model
from app.dicom.elements import text
from app.dicom.frames import encapsulated_frame, frame_count, native_frame_place
from app.dicom.layout import read_layout
from app.dicom.part10 import PREAMBLE, OpenedDicom, open_dicom
from app.errors import NotFound

_INLINE_BYTES = 128 * 2**10
_OCTETS = "application/octet-stream"
_MEDIA_TYPES = {
    JPEGLSLossless: "image/jls",
    JPEGLSNearLossless: "image/jls",
    JPEG2000Lossless: "image/jp2",
    JPEG2000: "image/jp2",
    HTJ2KLossless: "image/jphc",
    HTJ2KLosslessRPCL: "image/jphc",
    HTJ2K: "image/jphc",
    RLELossless: "image/dicom-rle",
}


@dataclass(frozen=True)
class Frame:
    """One frame as it is sent: its bytes, their transfer syntax, and their media type (PS3.18 table
    8.7.3-5).
    """

    data: bytes
    transfer_syntax: str
    media_type: str


def frame_media_type(transfer_syntax: str) -> str:
    """The media type of a frame in its stored transfer syntax; application/octet-stream when it is
    uncompressed.
    """
    uid = UID(transfer_syntax)
    if uid.is_private or uid.type != "Transfer Syntax" or not uid.is_encapsulated:
        return _OCTETS
    return _MEDIA_TYPES.get(uid, "image/jpeg")


def metadata(path: Path, *, bulk_data_url: str) -> JsonObject:
    """The dataset of a stored file as DICOM JSON, with `bulk_data_url` standing for its pixel data.

    Binary values of more than 128 kB (overlays, private blobs) are left out. AvailableTransferSyntaxUID says
    how the frames are stored. Raises what opening the file raises.
    """
    with open_dicom(path) as opened:
        model = json_model(opened.dataset, inline_bytes=_INLINE_BYTES)
        if opened.pixels is not None:
            vr = opened.pixels.vr or "OW"
            model[f"{opened.pixels.tag:08X}"] = {"vr": vr, "BulkDataURI": bulk_data_url}
        model["00083002"] = {"vr": "UI", "Value": [opened.transfer_syntax]}
    return dict(sorted(model.items()))


def count_frames(path: Path) -> int:
    """How many frames the header says there are, at least 1."""
    with open_dicom(path) as opened:
        return frame_count(opened)


def check_frames(path: Path, numbers: Sequence[int]) -> None:
    """Raises NotFound where the image lacks one of the frames of these numbers (from 1)."""
    with open_dicom(path) as opened:
        count = frame_count(opened)
    if opened.pixels is None or not numbers or not all(1 <= number <= count for number in numbers):
        raise NotFound(f"The image has {count} frame{'' if count == 1 else 's'}, counted from 1.")


def frames(path: Path, numbers: Sequence[int]) -> Iterator[Frame]:
    """Frames by number (from 1) in the stored transfer syntax, read one at a time as they are drawn;
    uncompressed ones as Explicit VR Little Endian.

    Raises NotFound for a number the image does not have; drawing one raises DecodeFailed when the pixel data
    are cut off.
    """
    check_frames(path, numbers)
    return _drawn(path, numbers)


def _drawn(path: Path, numbers: Sequence[int]) -> Iterator[Frame]:
    with open_dicom(path) as opened:
        media_type = frame_media_type(opened.transfer_syntax)
        for number in numbers:
            if media_type == _OCTETS:
                yield Frame(_native(opened, number), ExplicitVRLittleEndian, _OCTETS)
            else:
                yield Frame(encapsulated_frame(opened, number), opened.transfer_syntax, media_type)


def part10_form(path: Path) -> tuple[bytes, int]:
    """How to send a stored file as Part 10: bytes to send first, and where in the file to go on from.

    (b"", 0) for a file that is Part 10 already; a bare dataset gets the preamble and file meta it came
    without.
    """
    with path.open("rb") as file:
        if file.read(132)[128:] == PREAMBLE[128:]:
            return b"", 0
    with open_dicom(path) as opened:
        meta = FileMetaDataset()
        meta.MediaStorageSOPClassUID = UID(text(opened.dataset, "SOPClassUID") or "")
        meta.MediaStorageSOPInstanceUID = UID(text(opened.dataset, "SOPInstanceUID") or "")
        meta.TransferSyntaxUID = UID(opened.transfer_syntax)
        buffer = DicomBytesIO()
        write_file_meta_info(buffer, meta)
        return PREAMBLE + buffer.getvalue(), opened.dataset_offset


def _native(opened: OpenedDicom, number: int) -> bytes:
    layout = read_layout(opened)
    width = layout.allocated // 8
    # Two pixels of YBR_FULL_422 share their colour: four bytes for both (PS3.3 C.7.6.3.1.2).
    samples = 2 if layout.photometric == "YBR_FULL_422" else layout.samples
    length = layout.rows * layout.columns * samples * width
    opened.stream.seek(native_frame_place(opened, number, length))
    data = opened.stream.read(length)
    if not opened.big_endian or (width == 1 and opened.pixels is not None and opened.pixels.vr != "OW"):
        return data
    swap = max(width, 2)
    return np.frombuffer(data[: length // swap * swap], f">u{swap}").astype(f"<u{swap}").tobytes()
