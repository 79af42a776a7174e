"""C-STORE as a way in: one association for each message, which can be broken at any moment."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from io import BytesIO

from pydicom import dcmread
from pydicom.dataset import FileMetaDataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_file_meta_info
from pynetdicom import AE
from pynetdicom.association import Association
from pynetdicom.dsutils import encode
from pynetdicom.presentation import build_context

from app.dicom.association import _IMPLEMENTATION
from tests.faults.pictures import Picture
from tests.faults.posting import Cut, Unanswered

_PATIENCE_SECONDS = 20
_COME_BACK, _REFUSED = 503, 422
"""What the statuses of C-STORE mean, in the numbers of HTTP, which the table counts."""
_OUT_OF_RESOURCES = 0xA700


@dataclass(frozen=True, kw_only=True)
class DimseDoor:
    """The listener of the service."""

    port: int
    name: str = "dimse"
    is_for_dicom: bool = True

    def takes(self, picture: Picture) -> bool:
        """Only what can be read can be encoded."""
        return picture.kind in ("dicom", "report")

    def sent(self, picture: Picture) -> Picture:
        """The file that the listener makes of the dataset: its own file meta before the same bytes."""
        image = dcmread(BytesIO(picture.data))
        meta = FileMetaDataset()
        meta.MediaStorageSOPClassUID = image.SOPClassUID
        meta.MediaStorageSOPInstanceUID = image.SOPInstanceUID
        meta.TransferSyntaxUID = image.file_meta.TransferSyntaxUID
        meta.ImplementationClassUID = _IMPLEMENTATION
        head = DicomBytesIO()
        write_file_meta_info(head, meta)
        syntax = meta.TransferSyntaxUID
        body = encode(image, syntax.is_implicit_VR, syntax.is_little_endian)
        assert body is not None
        return replace(picture, data=b"\0" * 128 + b"DICM" + head.getvalue() + body)

    def post(
        self, _url: str, pictures: Sequence[Picture], *, cut_at: float | None, abruptly: bool
    ) -> tuple[int, list[bool]]:
        """As `Door.post`; a message that is cut is cut some milliseconds after it was begun."""
        images = [dcmread(BytesIO(picture.data)) for picture in pictures]
        ae = AE(ae_title="FAULTS")
        ae.acse_timeout = ae.dimse_timeout = ae.network_timeout = _PATIENCE_SECONDS
        wanted = {(image.SOPClassUID, image.file_meta.TransferSyntaxUID) for image in images}
        ae.requested_contexts = [build_context(*each) for each in sorted(wanted)]
        association = ae.associate("127.0.0.1", self.port, ae_title="FIRSTREAD")
        if not association.is_established:
            raise Unanswered("no association")
        cutting = threading.Timer((cut_at or 0) * 0.1, _break, (association, abruptly))
        if cut_at is not None:
            cutting.start()
        try:
            said = [association.send_c_store(image).get("Status") for image in images]
        except (RuntimeError, OSError) as error:
            raise (Unanswered if cut_at is None else Cut)(type(error).__name__) from error
        finally:
            cutting.cancel()
            if association.is_established:
                association.release()
        if None in said:
            raise Unanswered("no status") if cut_at is None else Cut
        if _OUT_OF_RESOURCES in said:
            return _COME_BACK, []
        safe = [status == 0 for status in said]
        return (200 if any(safe) else _REFUSED), safe


def _break(association: Association, abruptly: bool) -> None:
    with suppress(Exception):  # it may have ended by itself at that moment
        if abruptly and association.dul.socket and association.dul.socket.socket:
            association.dul.socket.socket.close()
        else:
            association.abort()
