"""What the network says of images, and what that makes of their study."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from app.domain.order import Lane
from app.domain.sentence import sentence
from app.domain.states import Outcome


@dataclass(frozen=True, kw_only=True)
class FindingRead:
    """What the network says of one finding."""

    probability: float
    present: bool
    lane: Lane
    research: bool = False
    """Research findings are shown on request and never rank a study."""

    def as_json(self) -> dict[str, Any]:
        """As the readings table and the API hold it."""
        return {
            "probability": self.probability,
            "present": self.present,
            "lane": self.lane.value,
            "research": self.research,
        }


@dataclass(frozen=True, kw_only=True)
class ImageRead:
    """What came of one image."""

    image_id: UUID
    outcome: Outcome
    reason: str | None = None
    findings: dict[str, FindingRead] = field(default_factory=dict)
    logits: dict[str, float] = field(default_factory=dict)
    activation_maps: dict[str, list[list[float]]] = field(default_factory=dict)
    notices: tuple[str, ...] = ()
    preview_sha256: str | None = None
    urgency: float | None = None
    place: tuple[int, int] | None = None
    """Which image of the network's pass it was, from 0, and of how many."""
    embedding: tuple[float, ...] | None = None
    """The network's features, to find similar cases by; of length 1, or None where the bundle gives none."""


def outcome_of(images: list[ImageRead]) -> tuple[Outcome, str | None]:
    """Screened if one image passed; else failed if one broke (it might have passed); else withheld."""
    outcomes = {image.outcome for image in images}
    if Outcome.SCREENED in outcomes:
        return Outcome.SCREENED, None
    outcome = Outcome.FAILED if Outcome.FAILED in outcomes or not images else Outcome.WITHHELD
    reasons = dict.fromkeys(image.reason for image in images if image.outcome is outcome and image.reason)
    return outcome, " ".join(reasons) or sentence("The study holds no image that can be read.")


def maximum(images: list[ImageRead]) -> dict[str, FindingRead]:
    """Per finding the image that says most of it."""
    findings: dict[str, FindingRead] = {}
    for image in images:
        for name, finding in image.findings.items():
            if name not in findings or finding.probability > findings[name].probability:
                findings[name] = finding
    return findings
