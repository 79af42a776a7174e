"""Patient keys: what tells the patients of snapshots apart. The same key is the same patient, wherever it
comes from: a dataset's files, a manifest, a study that was reviewed here.
"""

from __future__ import annotations

from uuid import UUID

SEPARATOR = "|"
WITHOUT_ISSUER = r"^[^|]*\|"
"""What goes before the PatientID, as a regular expression. A site that began to send an issuer has patients
with and without one: snapshots take a PatientID alone and the same one with any issuer for one patient.
"""


def of_dicom(*, patient_id: str | None, issuer: str | None = None) -> str | None:
    """The PatientID, with its issuer before it where there is one; None where the header names no patient."""
    identifier, issued_by = (patient_id or "").strip(), (issuer or "").strip()
    if not identifier:
        return None
    return f"{issued_by}{SEPARATOR}{identifier}" if issued_by else identifier


def of_study(*, patient_id: str, issuer: str, unidentified_as: str, study_id: UUID) -> str:
    """As `of_dicom`; a study without a PatientID is of whoever has the name and birth date it hashed, or of
    nobody else.
    """
    known = of_dicom(patient_id=patient_id, issuer=issuer)
    if known is not None:
        return known
    return f"unidentified{SEPARATOR}{unidentified_as}" if unidentified_as else f"study{SEPARATOR}{study_id}"


def of_file(*, patient_key: str | None, sha256: str) -> str:
    """The key that a dataset gives a file; without one the picture is a patient of its own."""
    return (patient_key or "").strip() or f"image{SEPARATOR}{sha256}"
