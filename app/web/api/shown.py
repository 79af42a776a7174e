"""What callers get: the answers of the REST interface."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any, TypeVar
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from app.queries.history import ReviewShown
from app.queries.studies import ImageShown, ReadingShown, StudyShown
from app.queries.worklist import WorklistEntry
from app.web.dicomweb.addresses import of_study

USE = "For prioritisation only. Not a diagnosis."


class Answer(BaseModel):
    """An answer made from a query's dataclass."""

    model_config = ConfigDict(from_attributes=True)


class Patient(Answer):
    """Whose study it is."""

    id: str
    issuer: str
    name: str | None
    birth_date: date | None
    sex: str | None
    age_years: float | None


class WorklistRow(Answer):
    """One study on the worklist."""

    id: UUID
    url: str
    study_instance_uid: str
    patient_id: str
    patient_name: str | None
    age_years: float | None
    accession_number: str | None
    study_description: str | None
    modality: str | None
    is_sample: bool
    priority: str
    state: str
    reason: str | None = Field(description="Why it was withheld, failed or reopened.")
    revision: int
    arrived_at: datetime
    waiting_seconds: float
    blind: bool = Field(
        description="The caller, a person, is shown the network's opinion only after their own verdict: "
        "rank_at, lane, urgency, findings and notices that tell are left out. Never true for an API key."
    )
    rank_at: datetime | None = Field(description="The worklist is sorted by this, the earliest first.")
    lane: str | None
    urgency: float | None
    findings: dict[str, Any]
    notices: list[str]
    why_here: str = Field(description="Why the study stands where it stands, in words.")
    held_by: str | None
    held_since: datetime | None = Field(description="Send it with a take-over.")
    held_until: datetime | None


class Worklist(Answer):
    """One page of the worklist, in order."""

    studies: list[WorklistRow]
    next_cursor: str | None = Field(description="Send it as `cursor` for the next page; null on the last.")
    use: str = USE


class Reading(Answer):
    """What the network says of the study."""

    id: UUID
    outcome: str = Field(description="screened, withheld or failed")
    reason: str | None
    lane: str | None = Field(description="rule-in, abstain or rule-out")
    urgency: float | None
    findings: dict[str, Any]
    notices: list[str]
    bundle: str | None = Field(description="sha256 of the bundle that read it")
    map_withheld: str | None = Field(
        description="Why there is no heat map: the bundle's maps failed their tests, or were never tested. "
        "Null where the images' findings have `activation_map`, where an occlusion map can be asked for, or "
        "nothing was read."
    )
    occlusion_map_withheld: str | None = Field(
        description="Why no occlusion map can be asked for; null where one can, or nothing was read."
    )
    runtime: str | None
    read_at: datetime


class Picture(Answer):
    """One image, and what the network says of it."""

    id: UUID
    sha256: str
    media_type: str
    file_name: str | None
    sop_instance_uid: str
    series_instance_uid: str
    rows: int | None
    columns: int | None
    view_position: str | None
    arrived_at: datetime
    superseded: bool = Field(description="True where a later header revision is shown instead.")
    outcome: str | None
    reason: str | None
    findings: dict[str, Any]
    notices: list[str]
    preview_url: str
    pixels_url: str


class SignedReview(Answer):
    """What a radiologist said."""

    id: UUID
    reviewer: str
    verdict: str | None = Field(
        description="confirmed, corrected or read; null where the opinion is hidden from the caller"
    )
    blind: bool | None = Field(
        description="The signer had never been shown what the network said; null as above."
    )
    findings: dict[str, Any]
    network_findings: dict[str, Any]
    comment: str
    marks: list[dict[str, Any]] = Field(
        description="Boxes and ellipses as they were sent with the review, each on the image that stands now."
    )
    signed_at: datetime
    final_at: datetime | None = Field(
        description="Until then its signer may undo it and nothing is sent; null where it was final at once."
    )
    amends: bool
    label_source: str = Field(description="review, or adjudicated where it settles a disagreement of readers")
    by_a_party: bool = Field(description="Adjudicated by somebody who had signed it before.")


class WithdrawnReview(SignedReview):
    """A signature that was undone before it was final; it counts nowhere."""

    withdrawn_at: datetime


class Prior(Answer):
    """Another study of the same patient."""

    id: UUID
    url: str
    study_date: date | None
    study_description: str | None
    state: str
    purpose: str


class Study(Answer):
    """A study with all there is to know of it."""

    id: UUID
    url: str
    page_url: str
    dicomweb_url: str
    study_instance_uid: str
    state: str
    reason: str | None
    revision: int = Field(description="Send it with a review, so that nobody signs what they have not seen.")
    purpose: str
    priority: str
    is_sample: bool
    patient: Patient
    accession_number: str | None
    study_date: date | None
    study_time: str | None
    study_description: str | None
    modality: str | None
    station_name: str | None
    institution_name: str | None
    source: str
    received_via: str
    arrived_at: datetime
    waiting_seconds: float
    blind: bool = Field(description="As in the worklist; reading, images and reviews lack the opinion then.")
    rank_at: datetime | None
    why_here: str
    held_by: str | None
    held_since: datetime | None = Field(description="Send it with a take-over.")
    held_until: datetime | None
    reading: Reading | None
    images: list[Picture]
    reviews: list[SignedReview] = Field(description="Those that stand, the newest first; the first counts.")
    withdrawn_reviews: list[WithdrawnReview]
    priors: list[Prior]
    conflicts: list[str]
    can_claim: bool
    can_sign: bool
    use: str = USE


class Studies(Answer):
    """Studies that were asked for by UID or accession number, the newest first."""

    studies: list[Study]


def study_url(study_id: UUID) -> str:
    """The study's address in this interface."""
    return f"/api/v1/studies/{study_id}"


def row_of(entry: WorklistEntry) -> WorklistRow:
    """The entry as the interface shows it."""
    values = {name: getattr(entry, name) for name in WorklistRow.model_fields if hasattr(entry, name)}
    return WorklistRow(**values | {"id": entry.study_id, "url": study_url(entry.study_id)})


def study_of(shown: StudyShown) -> Study:
    """The study as the interface shows it."""
    entry = shown.entry
    known = {name: getattr(entry, name) for name in Study.model_fields if hasattr(entry, name)}
    known |= {name: getattr(shown, name) for name in Study.model_fields if hasattr(shown, name)}
    return Study(
        **known
        | {
            "id": entry.study_id,
            "url": study_url(entry.study_id),
            "page_url": f"/studies/{entry.study_id}",
            "dicomweb_url": of_study(
                f"/dicomweb/studies/{entry.study_instance_uid}",
                entry.study_id if shown.uid_is_shared else None,
            ),
            "patient": Patient(
                id=entry.patient_id,
                issuer=shown.issuer_of_patient_id,
                name=entry.patient_name,
                birth_date=entry.patient_birth_date,
                sex=entry.patient_sex,
                age_years=entry.age_years,
            ),
            "reading": _reading_of(shown.reading) if shown.reading else None,
            "images": [_picture_of(image) for image in shown.images],
            "reviews": [_review_of(review, SignedReview) for review in shown.reviews],
            "withdrawn_reviews": [
                _review_of(line.review, WithdrawnReview)
                for line in shown.history
                if line.kind == "withdrawal" and line.review
            ],
            "priors": [
                Prior(
                    id=prior.study_id,
                    url=study_url(prior.study_id),
                    study_date=prior.study_date,
                    study_description=prior.study_description,
                    state=prior.state,
                    purpose=prior.purpose,
                )
                for prior in shown.priors
            ],
            "conflicts": list(shown.conflicts),
        }
    )


def _reading_of(reading: ReadingShown) -> Reading:
    values = {name: getattr(reading, name) for name in Reading.model_fields if hasattr(reading, name)}
    return Reading(**values | {"id": reading.reading_id, "bundle": reading.bundle_sha256})


def _picture_of(image: ImageShown) -> Picture:
    values = {name: getattr(image, name) for name in Picture.model_fields if hasattr(image, name)}
    address = f"/api/v1/images/{image.image_id}"
    return Picture(
        **values
        | {"id": image.image_id, "preview_url": f"{address}/preview", "pixels_url": f"{address}/pixels"}
    )


_Reviewed = TypeVar("_Reviewed", bound=SignedReview)


def _review_of(review: ReviewShown, kind: type[_Reviewed]) -> _Reviewed:
    values = {name: getattr(review, name) for name in kind.model_fields if hasattr(review, name)}
    return kind(**values | {"id": review.review_id, "reviewer": review.reviewer_name})
