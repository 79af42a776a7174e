"""What a bundle says of itself: findings, codes, intended use, calibration, thresholds, provenance."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from models.pixel_gate import LABELS
from models.sentence import sentence

FORMAT_VERSION = 5
READ_VERSIONS = (1, 2, 3, 4, 5)
"""Format 1 knew no distance from the training images, format 2 no description by which like images are found
and no test of the activation map, format 3 no healthy chest and so no occlusion map,
format 4 not whom it had learnt from.
"""


class BundleRefused(Exception):
    """The bundle must not be used; the message is a sentence that says why and what to do."""


@dataclass(frozen=True)
class FindingCode:
    """A finding the network speaks of, with its code for reports."""

    name: str
    code_value: str
    code_scheme: str
    code_meaning: str
    research: bool = False
    """Research findings are left out of a screening unless asked for, and never count towards urgency or
    lane.
    """
    bias: float = 0.0
    """What is added to the sum over the class activation map to give the logit."""


@dataclass(frozen=True)
class Calibration:
    """Logit to probability: 1 / (1 + exp(-(slope * logit + intercept)))."""

    slope: float
    intercept: float
    prevalence: float
    """Share of images with the finding for which the probability is meant."""


@dataclass(frozen=True)
class Thresholds:
    """Cuts on the calibrated probability, and what was shown of them on the patients held out of training."""

    operating_point: float
    """The finding is called present at or above this probability."""
    rule_in: float | None
    """Lane rule-in at or above; None when no cut met the bound."""
    rule_out: float | None
    """Lane rule-out below; None when no cut met the bound."""
    confidence: float
    """Level of the two bounds, one-sided."""
    rule_in_false_positive_bound: float
    """At this confidence no more than this share of patients without the finding is ruled in."""
    rule_out_miss_bound: float
    """At this confidence no more than this share of patients with the finding is ruled out."""
    patients_with: int
    patients_without: int
    precisions: tuple[str, ...] = ("fp32",)
    """In which the bounds were counted, and so in which alone the cuts may be served."""


@dataclass(frozen=True)
class Manifest:
    """Everything a bundle states; ``sha256`` is that of the whole file, known only once it is loaded."""

    name: str
    version: str
    findings: tuple[FindingCode, ...]
    intended_use: Mapping[str, Any]
    """The parts of `INTENDED_USE`: ages in years, the most excluded, and lists of codes."""
    preprocessing_version: str
    input_size: int
    calibration: Mapping[str, Calibration]
    thresholds: Mapping[str, Thresholds]
    agreement: Mapping[str, Any]
    """Seed and logits in fp32 on phantoms made from the seed: what a runtime must reproduce before it may
    speak.
    """
    provenance: Mapping[str, Any]
    familiarity: Mapping[str, Any] = field(default_factory=dict)
    """``limit``: the distance beyond which an image is unlike those of the training; the share of held-out
    images beyond it and how many they were. Without a limit nothing is called unlike.
    """
    appearance: Mapping[str, Any] = field(default_factory=dict)
    """``labels`` of the heads on the pixels and the ``limits`` beyond which they are certain, as log odds
    (`models.pixel_gate`); how many held-out images chose them and what became of those. Without limits the
    heads say nothing.
    """
    explanations: Mapping[str, Any] = field(default_factory=dict)
    """What `models.explain` found of the class activation map on held-out patients: ``passes``, the sentences
    of what ``failed``, limits and figures; and the same of the occlusion map under ``occlusion_map``. Empty
    in bundles whose maps were never tested.
    """
    format_version: int = FORMAT_VERSION
    sha256: str = ""


INTENDED_USE = ("min_age_years", "max_age_years", "modalities", "body_parts", "views")
_COUNTED = ("fp32",)
"""Bundles that do not say so were counted in this."""


def to_json(manifest: Manifest) -> bytes:
    """UTF-8 JSON with sorted keys, without the file's hash."""
    document = asdict(manifest)
    del document["sha256"]
    return json.dumps(document, indent=1, sort_keys=True, allow_nan=False).encode()


def from_json(content: bytes, *, sha256: str) -> Manifest:
    """The manifest; raises `BundleRefused` when it is not one this program understands."""
    try:
        document = json.loads(content)
    except ValueError as error:
        raise BundleRefused(f"The bundle's manifest is not JSON ({error}); the file is damaged.") from error
    stated = document.get("format_version") if isinstance(document, dict) else None
    if stated not in READ_VERSIONS:
        raise BundleRefused(
            f"The bundle has format {stated!r} and this program reads formats 1 to 5; "
            "use a bundle made by this version's `firstread train`."
        )
    try:
        findings = tuple(FindingCode(**finding) for finding in document["findings"])
        manifest = Manifest(
            **(
                document
                | {
                    "findings": findings,
                    "calibration": {
                        name: Calibration(**value) for name, value in document["calibration"].items()
                    },
                    "thresholds": {
                        name: Thresholds(**value | {"precisions": tuple(value.get("precisions", _COUNTED))})
                        for name, value in document["thresholds"].items()
                    },
                    "sha256": sha256,
                }
            )
        )
    except (KeyError, TypeError, AttributeError) as error:
        known = ", ".join(field.name for field in fields(Manifest))
        raise BundleRefused(
            f"The bundle's manifest lacks or misnames a part ({error}); it needs {known}."
        ) from error
    said_wrong = no_intended_use(manifest.intended_use)
    if said_wrong is not None:
        raise BundleRefused(f"The bundle does not say for whom it is; it cannot be used. {said_wrong}")
    if manifest.appearance and tuple(manifest.appearance.get("labels", ())) != LABELS:
        raise BundleRefused("The bundle's gate tells other things apart than this program knows.")
    names = [finding.name for finding in findings]
    if not names or len(set(names)) != len(names):
        raise BundleRefused("The bundle names no finding, or one twice; it cannot be used.")
    if set(names) != set(manifest.calibration) or set(names) != set(manifest.thresholds):
        raise BundleRefused(
            "The bundle's findings, calibrations and thresholds speak of different labels; it cannot be used."
        )
    return manifest


def no_intended_use(stated: object) -> str | None:
    """The sentence why no header can be held against it; None where all parts are there and can be."""
    known: Mapping[str, Any] = stated if isinstance(stated, Mapping) else {}
    lacking = ", ".join(part for part in INTENDED_USE if part not in known)
    if lacking:
        return sentence(f"The intended use lacks {lacking}.")
    ages = [known[part] for part in INTENDED_USE[:2]]
    if not all(type(age) in (int, float) and math.isfinite(age) for age in ages):
        return sentence("The ages of the intended use are no numbers of years.")
    if not 0 <= ages[0] < ages[1]:
        return sentence("The intended use is for no age: min_age_years must be below max_age_years.")
    for part in INTENDED_USE[2:]:
        codes = known[part]
        if not isinstance(codes, list | tuple) or not all(isinstance(code, str) for code in codes):
            return sentence(f"The {part} of the intended use are no list of codes.")
    return None
