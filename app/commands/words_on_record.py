"""What people write into the audit trail stays there for ever, also when the patient is deleted."""

from __future__ import annotations

from app.domain.deleted_patient import is_named_in
from app.records import Study


def name_the_patient(words: str, study: Study) -> bool:
    """True where the words hold a part of the patient's name, a number of the study or the birth date."""
    return is_named_in(
        words,
        name=study.patient_name or "",
        numbers=(study.patient_id, study.accession_number or "", study.study_instance_uid),
        born=study.patient_birth_date,
    )
