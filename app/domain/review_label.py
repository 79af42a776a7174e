"""The rule from reviews to labels: what the signatures on a study say of its images to a network that learns.

`RULE` is the same in words; pages and docs/snapshots.md have it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from app.domain.positions import differences, positions
from app.domain.sentence import sentence
from app.domain.snapshot import ADJUDICATED, NORMAL
from app.domain.states import DONE, State

RULE: tuple[str, ...] = (
    sentence("The review that stands counts, once it is final; one that was taken back counts nowhere."),
    sentence(
        "An adjudication counts above the verdicts it settled, and a blind read above others that agree with "
        "it. While readers disagree, the study is left out."
    ),
    sentence("A study of which a reader was uncertain, or which shows several findings, gives no label."),
    sentence("Samples, priors, studies that wait to be read again and open conflicts are left out."),
    sentence(
        "The label is of the frontal chest images that were read: those the network’s gate passed, or whose "
        "header says so. Laterals are left out; of a header that was replaced its newest counts."
    ),
    sentence(
        "Of several labels of one image the strongest counts: adjudicated, read blind, imported, then what "
        "was signed with the network’s opinion in sight. Equals that contradict leave the image out."
    ),
)
"""How reviews become labels."""


class Why(StrEnum):
    """Why a signed study gives no label."""

    SAMPLE = "sample"
    PRIOR = "prior"
    REOPENED = "reopened"
    CONFLICT = "conflict"
    NOT_FINAL = "not-final"
    DISPUTED = "disputed"
    UNCERTAIN = "uncertain"
    SEVERAL = "several"


@dataclass(frozen=True, kw_only=True)
class SignedReview:
    """A review that was not withdrawn."""

    id: UUID
    reviewer_kind: str
    reviewer_id: UUID
    reviewer_name: str
    verdict: str
    findings: Mapping[str, str]
    image_ids: list[str]
    blind: bool
    final_at: datetime | None
    is_adjudication: bool


@dataclass(frozen=True, kw_only=True)
class SignedStudy:
    """A study and its standing reviews, the oldest first."""

    is_sample: bool
    purpose: str
    state: str
    in_conflict: bool
    reviews: Sequence[SignedReview]
    superseded_by: Mapping[str, str]
    """What replaced each of its images that came again with another header."""


@dataclass(frozen=True, kw_only=True)
class ReviewLabel:
    """What the images that were read show, and who says so."""

    label: str
    source: str
    blind: bool
    review: SignedReview


def label_of_review(study: SignedStudy, *, at: datetime) -> ReviewLabel | Why:
    """What the study is labelled as at this moment, or why it is not."""
    out = _left_out(study, at=at)
    if out is not None:
        return out
    settled = {review.id for review in study.reviews if review.is_adjudication}
    parties = positions(study.reviews, adjudications=settled, superseded_by=study.superseded_by)
    if differences(parties):
        return Why.DISPUTED
    # Of equals the newest.
    counting = max(reversed(parties), key=lambda review: (review.is_adjudication, review.blind))
    present = [name for name, said in counting.findings.items() if said == "present"]
    if "uncertain" in counting.findings.values() or len(present) > 1:
        return Why.UNCERTAIN if "uncertain" in counting.findings.values() else Why.SEVERAL
    return ReviewLabel(
        label=present[0] if present else NORMAL,
        source=ADJUDICATED if counting.is_adjudication else counting.verdict,
        blind=counting.blind,
        review=counting,
    )


def _left_out(study: SignedStudy, *, at: datetime) -> Why | None:
    final_at = study.reviews[-1].final_at
    reasons = (
        (study.is_sample, Why.SAMPLE),
        (study.purpose != "current", Why.PRIOR),
        (State(study.state) not in DONE, Why.REOPENED),
        (study.in_conflict, Why.CONFLICT),
        (final_at is not None and final_at > at, Why.NOT_FINAL),
    )
    return next((why for holds, why in reasons if holds), None)


def told(why: Why, studies: int) -> str:
    """How many studies were left out for this, in a sentence."""
    return {
        Why.SAMPLE: sentence(f"Sample studies, left out: {studies}."),
        Why.PRIOR: sentence(f"Priors, left out: {studies}."),
        Why.REOPENED: sentence(f"Studies that wait to be read again, left out: {studies}."),
        Why.CONFLICT: sentence(f"Studies with an open conflict about whose they are, left out: {studies}."),
        Why.NOT_FINAL: sentence(f"Studies whose signature can still be undone, left out: {studies}."),
        Why.DISPUTED: sentence(f"Studies whose readers disagree, left out until one adjudicates: {studies}."),
        Why.UNCERTAIN: sentence(f"Studies of which their reader was uncertain, left out: {studies}."),
        Why.SEVERAL: sentence(f"Studies that show several findings, left out: {studies}."),
    }[why]
