"""Say in words what a file is that is neither DICOM nor PNG nor JPEG."""

from __future__ import annotations

from app.domain.sentence import sentence

_SEND_INSTEAD = sentence("Send a DICOM, PNG or JPEG radiograph.")

_SIGNATURES = (
    (b"%PDF", sentence("a PDF document")),
    (b"PK\x03\x04", sentence("a ZIP archive; unpack it and send the files in it")),
    (b"\x1f\x8b", sentence("a gzip archive; unpack it and send the files in it")),
    (b"7z\xbc\xaf\x27\x1c", sentence("a 7-Zip archive; unpack it and send the files in it")),
    (b"Rar!", sentence("a RAR archive; unpack it and send the files in it")),
    (b"GIF8", sentence("a GIF picture")),
    (b"BM", sentence("a BMP picture")),
    (b"II*\x00", sentence("a TIFF picture")),
    (b"MM\x00*", sentence("a TIFF picture")),
    (b"\x00\x00\x00\x0cjP  ", sentence("a bare JPEG 2000 picture")),
    (b"\xff\x4f\xff\x51", sentence("a bare JPEG 2000 codestream")),
    (b"\x00\x00\x00\x0cJXL ", sentence("a JPEG XL picture")),
    (b"\x89HDF", sentence("an HDF5 file")),
    (b"\x5c\x01\x00\x00", sentence("a NIfTI file")),
)


def describe_foreign(head: bytes) -> str:  # noqa: PLR0911 - one sentence for each kind of file
    """A sentence on what the file seems to be, from its first bytes, and what to send instead."""
    if not head.strip(b"\0 \r\n\t"):
        return (
            sentence(f"The file is empty. {_SEND_INSTEAD}")
            if not head
            else sentence(f"The file begins with nothing but blanks. {_SEND_INSTEAD}")
        )
    for signature, said_kind in _SIGNATURES:
        if head.startswith(signature):
            return sentence(f"The file is {said_kind}, not a radiograph. {_SEND_INSTEAD}")
    if head.startswith(b"RIFF") and head[8:12] == b"WEBP":
        return sentence(f"The file is a WebP picture, not a radiograph. {_SEND_INSTEAD}")
    start = head.lstrip(b"\xef\xbb\xbf \r\n\t").lower()
    if start.startswith((b"<!doctype html", b"<html", b"<head", b"<body", b"<div", b"<meta")):
        return sentence(
            "The file is a web page, not an image, whatever its name says; a download probably ended at a "
            f"sign-in or error page. {_SEND_INSTEAD}"
        )
    if start.startswith(b"<"):
        return sentence(f"The file is an XML or HTML text, not an image. {_SEND_INSTEAD}")
    if all(32 <= byte < 127 or byte in b"\r\n\t" for byte in head):
        return sentence(f"The file is a text, not an image. {_SEND_INSTEAD}")
    return sentence(f"The file is neither DICOM nor PNG nor JPEG. {_SEND_INSTEAD}")
