"""Would more data help? Heads on frozen features of a quarter, half and all of the patients, judged by
patients held out, and what may be said of twice as many.
"""

from __future__ import annotations

import math
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models import figures as merit
from models.dataset import split_by_patient
from models.features import fit_head
from models.preprocess import Float
from models.sentence import sentence

PARTS = (4, 2, 1)
"""Into how many parts the patients are divided; each part has a head, and their figures are averaged."""
ROUNDS = 300
LEAST_PATIENTS = 5
"""Of each class in every part; with fewer a head says nothing."""
HARDLY = 0.005
"""A gain in AUC of which nobody would notice less."""


def learning_curve(
    features: Float,
    truth: NDArray[np.generic],
    patients: NDArray[np.str_],
    *,
    held_out: Float,
    held_out_truth: NDArray[np.generic],
    held_out_patients: NDArray[np.str_],
    seed: int,
) -> dict[str, Any]:
    """AUC on held-out patients by the number of patients learnt from, with 95% intervals from resampling the
    held-out ones.

    Takes features (n, 1280) of pictures as they are with the truth (n,) of one finding. Gives ``points``
    (share, patients, images, auc, low, high), ``gain`` (what the last doubling brought, with its interval;
    None with fewer than two points) and ``says``, a sentence.
    """
    present = np.asarray(truth) > 0.5
    scores: dict[int, list[NDArray[np.float64]]] = {}
    sizes: dict[int, tuple[int, int]] = {}
    for parts in PARTS:
        part = split_by_patient(patients, shares=(1 / parts,) * parts, seed=seed, strata=present.astype(int))
        chosen = [part == number for number in range(parts)]
        if any(_fewest(patients[one], present[one]) < LEAST_PATIENTS for one in chosen):
            continue
        scores[parts] = [_score(features[one], present[one], held_out) for one in chosen]
        sizes[parts] = (len(np.unique(patients)) // parts, len(patients) // parts)

    def auc(parts: int, at: NDArray[np.intp]) -> float:
        return float(np.mean([merit.auc(held_out_truth[at], score[at]) for score in scores[parts]]))

    everyone = np.arange(len(held_out))
    points = []
    for parts in scores:
        low, high = merit.bootstrap(held_out_patients, partial(auc, parts), rounds=ROUNDS, seed=seed)
        learnt, images = sizes[parts]
        points.append(
            {
                "share": 1 / parts,
                "patients": learnt,
                "images": images,
                "auc": _rounded(auc(parts, everyone)),
                "low": _rounded(low),
                "high": _rounded(high),
            }
        )
    if not {1, 2} <= set(scores):
        return {"points": points, "gain": None, "says": _TOO_FEW}

    def gain(at: NDArray[np.intp]) -> float:
        return auc(1, at) - auc(2, at)

    low, high = merit.bootstrap(held_out_patients, gain, rounds=ROUNDS, seed=seed)
    brought = {"value": _rounded(gain(everyone)), "low": _rounded(low), "high": _rounded(high)}
    return {"points": points, "gain": brought, "says": _says(brought, patients=sizes[1][0])}


_TOO_FEW = sentence(
    "There are too few patients to tell whether more would help; with so few, more nearly always do."
)


def _says(gain: dict[str, float | None], *, patients: int) -> str:
    value, low, high = gain["value"], gain["low"], gain["high"]
    if value is None or low is None or high is None:
        return _TOO_FEW
    half, most = patients // 2, max(high, 0.0)
    if high <= HARDLY:
        return sentence(
            f"A head on these features would hardly gain from more data of this kind: going from {half} to "
            f"{patients} patients changed the AUC by {value:+.3f} ({low:+.3f} to {high:+.3f}), and a "
            "further doubling usually brings less. Data of another kind may still help: other rooms, ages, "
            "rarer forms."
        )
    if low > 0:
        return sentence(
            f"More data would help: going from {half} to {patients} patients raised the AUC by {value:.3f} "
            f"({low:+.3f} to {high:+.3f}). Twice as many again usually bring less than that."
        )
    return sentence(
        f"Whether more data would help cannot be told from these: going from {half} to {patients} patients "
        f"changed the AUC by {value:+.3f} ({low:+.3f} to {high:+.3f}). Twice as many again would hardly "
        f"bring more than {most:.3f}."
    )


def _score(features: Float, present: NDArray[np.bool_], held_out: Float) -> NDArray[np.float64]:
    weight, bias = fit_head(features, present.astype(np.float32)[:, None])
    return np.asarray(held_out @ weight[0] + bias[0], dtype=np.float64)


def _fewest(patients: NDArray[np.str_], present: NDArray[np.bool_]) -> int:
    return min(len(np.unique(patients[present])), len(np.unique(patients[~present])))


def _rounded(value: float) -> float | None:
    return round(value, 4) if math.isfinite(value) else None
