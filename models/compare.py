"""Two bundles on the same images: what a candidate gains and loses against the active one, with intervals."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models import figures as merit
from models.answers import CHUNK, Answers, calibration_figures
from models.bundle import Bundle, FindingResult
from models.dataset import Labelled
from models.detail import Facts, detail
from models.examples import DatasetRefused
from models.figures import Array
from models.judge import Report
from models.pair import FIGURES, LANES, Pair, difference
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
    """Both bundles' figures of the active one's first finding, their differences (candidate less active) with
    95% intervals from resampling patients, the tests of DeLong and McNemar, the cases lost and won, the
    lanes' moves, the AUC under mixed acquisition changes, and `models.detail`, with subgroups by the
    ``facts`` of the images.

    The images should be of patients from whom neither bundle has learnt. Raises `DatasetRefused` where one of
    the bundles or the data do not know the finding, or the data lack it or its absence.
    """
    finding = active.manifest.findings[0].name
    known = {one.name for one in candidate.manifest.findings}
    if finding not in data.findings or finding not in known:
        raise DatasetRefused(
            f"The active bundle speaks of {finding}, the candidate of {', '.join(sorted(known))} and the "
            f"data of {', '.join(data.findings)}; they can only be compared where all three know it."
        )
    truth = data.labels[:, data.findings.index(finding)] > 0.5
    if truth.all() or not truth.any():
        raise DatasetRefused(f"To compare bundles on {finding}, images with it and without it are needed.")
    done, total = 0, 2 * len(data) * (1 + DRAWS * len(GRADES))

    def on_images(count: int) -> None:
        nonlocal done
        done += count
        report(STAGE, done, total)

    def pair_of(images: NDArray[np.uint8], draws: int = 1) -> Pair:
        labels, patients = np.tile(truth, draws), np.tile(data.patients, draws)
        return _ask(active, candidate, images, labels, patients, finding=finding, on_images=on_images)

    plain = pair_of(data.images)
    stressed = []
    for grade in GRADES:
        copies = [
            shifted(data.images, change=MIXED, strength=grade, seed=seed + number) for number in range(DRAWS)
        ]
        stressed.append(pair_of(np.concatenate(copies), DRAWS))
    for pair in (plain, *stressed):
        if min(int(pair.truth.sum()), int((~pair.truth).sum())) < 2:
            raise DatasetRefused(
                f"Of the images that both bundles read, as sent and under every change, at least two with "
                f"{finding} and two without it are needed."
            )
    lost, won = _lost_and_won(plain)
    return {
        "finding": finding,
        "asked": len(data),
        "images": len(plain.truth),
        "patients": len(np.unique(plain.patients)),
        "patients_with": len(np.unique(plain.patients[plain.truth])),
        "patients_without": len(np.unique(plain.patients[~plain.truth])),
        "withheld": {"active": plain.withheld[0], "candidate": plain.withheld[1]},
        "active": _named(active) | _figures(plain, 0),
        "candidate": _named(candidate) | _figures(plain, 1),
        "difference": {name: difference(plain, name, rounds=rounds, seed=seed) for name in FIGURES},
        "delong": dict(zip(("difference", "standard_error", "p"), delong(plain), strict=True)),
        "mcnemar": {"lost": len(lost), "won": len(won), "p": mcnemar(len(lost), len(won))},
        "lost_of_right": round(len(lost) / max(int(plain.right[0].sum()), 1), 4),
        "lanes": {
            before: {
                after: int(((plain.lane[0] == before) & (plain.lane[1] == after)).sum()) for after in LANES
            }
            for before in LANES
        },
        "stress": [
            {
                "grade": grade,
                "active": round(merit.auc(pair.truth, pair.probability[0]), 4),
                "candidate": round(merit.auc(pair.truth, pair.probability[1]), 4),
                "difference": difference(pair, "auc", rounds=rounds, seed=seed),
                "asked": DRAWS * len(data),
                "withheld": {"active": pair.withheld[0], "candidate": pair.withheld[1]},
            }
            for grade, pair in zip(GRADES, stressed, strict=True)
        ],
        "detail": detail(plain, facts=facts or {}, rounds=rounds, seed=seed),
        "explanations": {
            "active": _shows_a_map(active),
            "candidate": _shows_a_map(candidate),
        },
        "cuts": {"active": _cuts(active, finding), "candidate": _cuts(candidate, finding)},
        "pixel_gate": {"active": _has_gate(active), "candidate": _has_gate(candidate)},
        "findings": {"active": _looked_for(active), "candidate": _looked_for(candidate)},
        "intended_use": {
            "active": dict(active.manifest.intended_use),
            "candidate": dict(candidate.manifest.intended_use),
        },
    }


def _figures(pair: Pair, which: int) -> dict[str, Any]:
    everyone = np.arange(len(pair.truth))
    answers = Answers(
        pair.truth.astype(np.float32), pair.probability[which], pair.patients, pair.withheld[which]
    )
    found: dict[str, Any] = {
        name: round(figure(pair, which, everyone), 4) for name, figure in FIGURES.items()
    }
    return found | {
        "brier": round(merit.brier(pair.truth, pair.probability[which]), 4),
        "even_odds": calibration_figures(answers),
    }


def _lost_and_won(pair: Pair) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Images that only the active bundle, and that only the candidate, called right."""
    before, after = pair.right
    return np.flatnonzero(before & ~after), np.flatnonzero(after & ~before)


def delong(pair: Pair) -> tuple[float, float, float]:
    """Difference of the two AUCs (candidate less active), its standard error and the two-sided p, as DeLong,
    DeLong and Clarke-Pearson (1988) have it. Images of one patient count as independent there; the intervals
    from resampling patients do not take them for that.
    """
    with_it, without = pair.truth, ~pair.truth
    placed_with, placed_without, areas = [], [], []
    for score in pair.probability:
        everyone = _mid_ranks(score)
        placed_with.append((everyone[with_it] - _mid_ranks(score[with_it])) / without.sum())
        placed_without.append(1 - (everyone[without] - _mid_ranks(score[without])) / with_it.sum())
        areas.append(float(placed_with[-1].mean()))
    variance = sum(
        float(np.var(placed[1] - placed[0], ddof=1)) / len(placed[0]) if len(placed[0]) > 1 else math.nan
        for placed in (placed_with, placed_without)
    )
    difference, error = areas[1] - areas[0], math.sqrt(variance)
    p = math.erfc(abs(difference) / error / math.sqrt(2)) if error > 0 else 1.0
    return round(difference, 6), round(error, 6), round(p, 4)


def _mid_ranks(score: Array) -> Array:
    _, inverse, counts = np.unique(score, return_inverse=True, return_counts=True)
    return np.asarray((np.cumsum(counts) - (counts - 1) / 2)[inverse], dtype=np.float64)


def mcnemar(lost: int, won: int) -> float:
    """The two-sided p of so many lost and won if both were as likely (McNemar 1947, exact)."""
    trials = lost + won
    ways = sum(math.comb(trials, count) for count in range(min(lost, won) + 1))
    return round(min(1.0, 2 * ways / (1 << trials)), 4)


def _ask(
    active: Bundle,
    candidate: Bundle,
    images: NDArray[np.uint8],
    truth: NDArray[np.bool_],
    patients: NDArray[np.str_],
    *,
    finding: str,
    on_images: Callable[[int], None],
) -> Pair:
    """What both say of the images; those that either withholds are only counted."""
    both = []
    for bundle in (active, candidate):
        said: list[FindingResult | None] = []
        for first in range(0, len(images), CHUNK):
            chunk = list(images[first : first + CHUNK])
            said.extend(
                one.findings[finding] if one.outcome == "screened" else None for one in bundle.screen(chunk)
            )
            on_images(len(chunk))
        both.append(said)
    read = [at for at in range(len(images)) if both[0][at] is not None and both[1][at] is not None]
    results = [[one for at in read if (one := said[at]) is not None] for said in both]
    probability = [np.array([one.probability for one in found]) for found in results]
    called = [np.array([one.present for one in found], dtype=np.bool_) for found in results]
    lane = [np.array([str(one.lane) for one in found]) for found in results]
    silent = [np.array([one is None for one in said], dtype=np.bool_) for said in both]
    return Pair(
        truth[read],
        patients[read],
        (probability[0], probability[1]),
        (called[0], called[1]),
        (lane[0], lane[1]),
        (int(silent[0].sum()), int(silent[1].sum())),
        np.array(read, dtype=np.intp),
        (silent[0], silent[1]),
        truth,
        patients,
    )


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
