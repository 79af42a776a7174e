"""Which instance a refused file says it is, so that its sender can tell which one was refused."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from app.dicom.elements import text
from app.dicom.part10 import open_dicom
from app.errors import Problem


@dataclass(frozen=True, kw_only=True)
class SopReference:
    """SOP class and instance of a file; None where it does not say."""

    sop_class_uid: str | None
    sop_instance_uid: str | None


def sop_reference(path: Path) -> SopReference | None:
    """What the file's header says of itself, whatever else is wrong with it; None where it says nothing."""
    try:
        with open_dicom(path) as opened:
            return SopReference(
                sop_class_uid=_uid(text(opened.dataset, "SOPClassUID"))
                or _uid(text(opened.file_meta, "MediaStorageSOPClassUID")),
                sop_instance_uid=_uid(text(opened.dataset, "SOPInstanceUID"))
                or _uid(text(opened.file_meta, "MediaStorageSOPInstanceUID")),
            )
    except Problem:
        return None


def _uid(value: str | None) -> str | None:
    """The value if it could be a UID; anything else may be patient data in the wrong place."""
    if value and len(value) <= 64 and all(letter in "0123456789." for letter in value):
        return value
    return None
