"""What is counted of the network's work: how a study ended, of what kind the reason was, how long it waited,
and what the network gave its findings. Every word of it is one of a few, and none is a patient's.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

WAITED_BUCKETS = (2.0, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0, 14400.0)
"""Seconds."""
SCORE_BUCKETS = (0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98)
MOST_FINDINGS = 32

_FINDING = re.compile(r"[a-z][a-z0-9_-]{0,39}")
_KINDS = (
    ("contradiction", r"The header contradicts itself"),
    ("modality", r"[Tt]he modality is|names no modality"),
    ("not-a-patient", r"is an animal|quality control image|names a phantom"),
    ("age", r"^The patient is |^The patient's age"),
    ("view", r"[Tt]he view is|^This is an? "),
    ("body-part", r"[Tt]he body part|another part of the body"),
    ("not-plain", r"raw data for|\d frames;|in colour|was made from others|secondary capture"),
    ("size", r"^The image (has|is)( only)? \d+ x \d+"),
    (
        "picture",
        r"appear|does not look like|is blank|flat grey|looks like noise|not a grey image|outside its|"
        r"unlike any|unlike the",
    ),
    ("decoder", r"^The decoder"),
    (
        "pixels",
        r"pixel|picture|decode|header (names|promises|claims|says)|transfer syntax|palette|encoded|"
        r"compressed|grey level",
    ),
    ("network", r"[Nn]etwork"),
    ("worker", r"^Screening broke|^The worker that"),
    ("storage", r"stored|no image that can"),
)
"""Kinds of reasons and what their sentences have in common; the first that fits counts."""
KINDS = (*(kind for kind, _ in _KINDS), "other")


@dataclass(frozen=True, kw_only=True)
class Counted:
    """One reading of a study. `kind` is empty of one that was screened; `scores` are by finding."""

    outcome: str
    kind: str
    waited_seconds: float
    bundle: str | None
    scores: Mapping[str, float]


def counted(
    *,
    outcome: str,
    reason: str | None,
    waited_seconds: float,
    bundle: str | None,
    findings: Mapping[str, Any],
) -> Counted:
    """What is counted of a reading, as the readings table holds it."""
    return Counted(
        outcome=outcome,
        kind=kind_of(reason) if reason else "",
        waited_seconds=max(waited_seconds, 0.0),
        bundle=bundle[:12] if bundle else None,
        scores=dict(_scores(findings)),
    )


def kind_of(reason: str) -> str:
    """One of `KINDS`: of several sentences the kind of the first that has one."""
    for sentence in re.split(r"(?<=[.!?]) +", reason):
        for kind, words in _KINDS:
            if re.search(words, sentence):
                return kind
    return "other"


def bucket_of(value: float, bounds: tuple[float, ...]) -> str:
    """The bound under which the value counts; `+Inf` above all of them."""
    return next((str(bound) for bound in bounds if value <= bound), "+Inf")


def _scores(findings: Mapping[str, Any]) -> Iterable[tuple[str, float]]:
    for name in sorted(findings)[:MOST_FINDINGS]:
        label = name.replace(" ", "_")
        if _FINDING.fullmatch(label):
            yield label, float(findings[name]["probability"])
