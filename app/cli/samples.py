"""Sample studies for an empty service: generated phantoms, admitted like anything else that arrives."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from uuid import UUID

from app import queue
from app.blobs import Blobs
from app.commands import intake
from app.dicom.phantom import PhantomStyle
from app.dicom.write import write_phantom
from app.domain.roles import SYSTEM
from app.records.engine import transaction
from app.settings import Settings


@dataclass(frozen=True)
class Sample:
    """One phantom study; `age` as DICOM's PatientAge writes it."""

    style: PhantomStyle
    age: str
    sex: str
    described: str


SAMPLES = (
    Sample("normal", "002Y", "F", "nothing added"),
    Sample("right-lower opacity", "003Y", "M", "an opacity drawn in"),
    Sample("bilateral opacities", "004Y", "F", "opacities drawn in on both sides"),
    Sample("left-upper opacity", "018M", "M", "an opacity drawn in"),
    Sample("rotated", "005Y", "F", "the body drawn rotated"),
    Sample("normal", "047Y", "M", "an adult, whom a network for children must not read"),
)


def sample_bytes(number: int) -> bytes:
    """The DICOM file of SAMPLES[number], with the same UIDs each time, so that admitting it twice is once."""
    sample = SAMPLES[number]
    return write_phantom(
        style=sample.style,
        seed=number,
        patient_age=sample.age,
        patient_id=f"PHANTOM-{number + 1}",
        study_instance_uid=_uid(f"study {number}"),
        series_instance_uid=_uid(f"series {number}"),
        sop_instance_uid=_uid(f"image {number}"),
        tags={
            "PatientSex": sample.sex,
            "AccessionNumber": f"SAMPLE-{number + 1}",
            "StudyDescription": f"Generated phantom, not a patient: {sample.described}",
            "ManufacturerModelName": "Generated phantom",
        },
    )


def admit_samples(settings: Settings) -> int:
    """Every sample is on the worklist, marked as one; returns how many were not there before."""
    blobs = Blobs(settings.blob_folder)
    created = 0
    for number in range(len(SAMPLES)):
        with blobs.stage(max_bytes=settings.max_file_bytes) as staged:
            staged.write(sample_bytes(number))
            file = intake.read(staged, file_name=f"phantom-{number + 1}.dcm")
            with transaction() as session:
                admission = intake.admit(
                    session,
                    blobs,
                    file=file,
                    given=intake.GivenMetadata(),
                    by=SYSTEM,
                    via="sample",
                    credits=settings.credits,
                    is_sample=True,
                )
        created += admission.created
        if admission.needs_screening:
            queue.ring(queue.SCREEN, str(admission.study_id))
    return created


def _uid(what: str) -> str:
    """A UID of the root 2.25 (PS3.5 B.2), from a hash of what it names."""
    return (
        f"2.25.{UUID(bytes=hashlib.sha256(f'firstread sample {what}'.encode()).digest()[:16], version=4).int}"
    )
