"""What tests of DICOMweb store, and the parts of an answer."""

from __future__ import annotations

from email import message_from_bytes
from typing import Any

from tests.builders import a_dicom

INSTANCE = "/dicomweb/studies/1.1/series/1.1.1/instances/1.1.1.1"


def an_instance(**arguments: Any) -> bytes:
    return a_dicom(
        **{"study_instance_uid": "1.1", "series_instance_uid": "1.1.1", "sop_instance_uid": "1.1.1.1"}
        | arguments
    )


def parts_of(answer: Any) -> list[tuple[str, bytes]]:
    kind = answer.headers["content-type"]
    message = message_from_bytes(f"Content-Type: {kind}\r\n\r\n".encode() + answer.content)
    boundary = message.get_boundary()
    assert boundary is not None
    found = []
    for part in answer.content.split(b"--" + boundary.encode())[1:-1]:
        head, _, body = part.partition(b"\r\n\r\n")
        found.append((head.decode().strip(), body[:-2]))
    return found
