"""Two bundles on the same images: what a candidate gains and loses against the active one, with intervals."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.answers import CHUNK
from models.bundle import Bundle, FindingResult
from models.compare_finding import has_both_classes, of_both, of_candidate, patients_of
from models.dataset import Labelled
from models.detail import Facts, detail, groups
from models.examples import DatasetRefused
from models.judge import Report
from models.pair import Pair
from models.sentence import sentence
from models.stress import GRADES, MIXED, shifted

STAGE = sentence("Comparing")
DRAWS = 3
"""Times that every image is changed in each grade: with one, whether a candidate passes hung on the draw."""


def compare(
    active: Bundle,
    candidate: Bundle,
    data: Labelled,
    *,
    facts: Facts | None = None,
    seed: int = 7,
    rounds: int = 500,
    report: Report = lambda *_: None,
) -> dict[str, Any]:
    """Both bundles' figures of the first finding by which both rank patients, their differences (candidate
    less active) with 95% intervals from resampling patients, the tests of DeLong and McNemar, the cases lost
    and won, the lanes' moves, the AUC under mixed acquisition changes, and `models.detail`, with subgroups by
    the ``facts`` of the images.

    ``others`` are the other findings by which the candidate ranks patients, since each of them moves the
    worklist: the same figures where the active bundle ranks by it too, the candidate's own where it does not,
    and counts of patients alone where there are no figures.

    The images should be of patients from whom neither bundle has learnt. Raises `DatasetRefused` where the
    bundles and the data have no finding in common, or the data lack the first of those or its absence.
    """
    bundles, ranking = (active, candidate), _looked_for(candidate)
    common = [one for one in _looked_for(active) if one in ranking and one in data.findings]
    if not common:
        finding = ", ".join(_looked_for(active))
        raise DatasetRefused(
            f"The active bundle speaks of {finding}, the candidate of {', '.join(sorted(ranking))} and the "
            f"data of {', '.join(data.findings)}; they can only be compared where all three know it."
        )
    finding = common[0]
    truths = {
        one: data.labels[:, data.findings.index(one)] > 0.5
        if one in data.findings
        else np.zeros(len(data), np.bool_)
        for one in (finding, *(other for other in ranking if other != finding))
    }
    if truths[finding].all() or not truths[finding].any():
        raise DatasetRefused(f"To compare bundles on {finding}, images with it and without it are needed.")
    done, total = 0, 2 * len(data) * (1 + DRAWS * len(GRADES))

    def on_images(count: int) -> None:
        nonlocal done
        done += count
        report(STAGE, done, total)

    def pairs_of(images: NDArray[np.uint8], draws: int = 1) -> dict[str, Pair]:
        tiled = {one: np.tile(truth, draws) for one, truth in truths.items()}
        return _ask(active, candidate, images, tiled, np.tile(data.patients, draws), on_images=on_images)

    asked = [pairs_of(data.images)]
    for grade in GRADES:
        copies = [
            shifted(data.images, change=MIXED, strength=grade, seed=seed + number) for number in range(DRAWS)
        ]
        asked.append(pairs_of(np.concatenate(copies), DRAWS))
    plain, *stressed = (pairs[finding] for pairs in asked)
    if not has_both_classes((plain, *stressed)):
        raise DatasetRefused(
            f"Of the images that both bundles read, as sent and under every change, at least two with "
            f"{finding} and two without it are needed."
        )
    told = of_both(plain, stressed, rounds=rounds, seed=seed)
    return {
        "finding": finding,
        "asked": len(data),
        "images": len(plain.truth),
        "patients": len(np.unique(plain.patients)),
        **patients_of(plain),
        "withheld": {"active": plain.withheld[0], "candidate": plain.withheld[1]},
        **told,
        "active": _named(active) | told["active"],
        "candidate": _named(candidate) | told["candidate"],
        "detail": detail(plain, facts=facts or {}, rounds=rounds, seed=seed),
        "explanations": {
            "active": _shows_a_map(active),
            "candidate": _shows_a_map(candidate),
        },
        "cuts": {"active": _cuts(active, finding), "candidate": _cuts(candidate, finding)},
        "others": [
            _other(
                bundles,
                name,
                [one[name] for one in asked],
                facts=facts or {},
                rounds=rounds,
                seed=seed,
            )
            for name in truths
            if name != finding
        ],
        "pixel_gate": {"active": _has_gate(active), "candidate": _has_gate(candidate)},
        "findings": {"active": _looked_for(active), "candidate": _looked_for(candidate)},
        "intended_use": {
            "active": dict(active.manifest.intended_use),
            "candidate": dict(candidate.manifest.intended_use),
        },
    }


def _other(
    bundles: tuple[Bundle, Bundle], finding: str, pairs: list[Pair], *, facts: Facts, rounds: int, seed: int
) -> dict[str, Any]:
    """What ``others`` has of a finding."""
    active, candidate = bundles
    plain, *stressed = pairs
    told: dict[str, Any] = {"finding": finding} | patients_of(plain)
    if not has_both_classes(pairs):
        return told
    if finding not in _looked_for(active):
        return told | of_candidate(plain, stressed, facts=facts, rounds=rounds, seed=seed)
    return (
        told
        | of_both(plain, stressed, rounds=rounds, seed=seed)
        | {
            "detail": groups(plain, facts=facts, rounds=rounds, seed=seed),
            "cuts": {"active": _cuts(active, finding), "candidate": _cuts(candidate, finding)},
        }
    )


def _ask(
    active: Bundle,
    candidate: Bundle,
    images: NDArray[np.uint8],
    truths: Mapping[str, NDArray[np.bool_]],
    patients: NDArray[np.str_],
    *,
    on_images: Callable[[int], None],
) -> dict[str, Pair]:
    """What both say of the images, by finding; those that either withholds are only counted. Of a finding by
    which the active bundle ranks nobody the candidate's answers stand in both places.
    """
    both: list[list[Mapping[str, FindingResult] | None]] = []
    for bundle in (active, candidate):
        said: list[Mapping[str, FindingResult] | None] = []
        for first in range(0, len(images), CHUNK):
            chunk = list(images[first : first + CHUNK])
            said.extend(one.findings if one.outcome == "screened" else None for one in bundle.screen(chunk))
            on_images(len(chunk))
        both.append(said)
    silent = [np.array([one is None for one in said], dtype=np.bool_) for said in both]
    at = np.flatnonzero(~silent[0] & ~silent[1])
    ranked = _looked_for(active)
    pairs = {}
    for finding, truth in truths.items():
        answers = both if finding in ranked else [both[1], both[1]]
        results = [[one[finding] for index in at if (one := said[index]) is not None] for said in answers]
        probability = [np.array([one.probability for one in found]) for found in results]
        called = [np.array([one.present for one in found], dtype=np.bool_) for found in results]
        lane = [np.array([str(one.lane) for one in found]) for found in results]
        pairs[finding] = Pair(
            truth[at],
            patients[at],
            (probability[0], probability[1]),
            (called[0], called[1]),
            (lane[0], lane[1]),
            (int(silent[0].sum()), int(silent[1].sum())),
            at,
            (silent[0], silent[1]),
            truth,
            patients,
        )
    return pairs


def _shows_a_map(bundle: Bundle) -> bool:
    told = bundle.manifest.explanations
    return bool(told.get("passes") or told.get("occlusion_map", {}).get("passes"))


def _cuts(bundle: Bundle, finding: str) -> list[str]:
    """The lanes beside abstain that the bundle puts anybody in."""
    cuts = bundle.manifest.thresholds[finding]
    return [name for name, cut in (("rule-in", cuts.rule_in), ("rule-out", cuts.rule_out)) if cut is not None]


def _has_gate(bundle: Bundle) -> bool:
    return bool(bundle.manifest.appearance and bundle.manifest.familiarity.get("limit") is not None)


def _looked_for(bundle: Bundle) -> list[str]:
    """Research findings decide nothing, and may go."""
    return [finding.name for finding in bundle.manifest.findings if not finding.research]


def _named(bundle: Bundle) -> dict[str, str]:
    manifest = bundle.manifest
    return {"name": manifest.name, "version": manifest.version, "sha256": manifest.sha256}
