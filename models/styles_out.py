"""Leave-one-acquisition-style-out: how a linear head on frozen features does in styles it never saw, or saw
only with the other class.

Patients held out of the same styles tell nothing of another department. Here whole styles are held out, and
then the rare combinations of a style and a class, so that the style speaks for one class in all that was
learnt from. Every split is by patient.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models import figures as merit
from models.dataset import Labelled, split_by_patient
from models.features import FrozenFeatures, fit_head
from models.figures import Array
from models.judge import Report
from models.preprocess import Float
from models.stress import network_input
from models.styles import STYLES, Styles, find_styles

FOLDS = 5
LEAST = 10
"""Patients a class must have in a style to be counted there."""
_SEED = 7

Interval = dict[str, float]
"""A figure as value, low, high."""


def leave_styles_out(
    data: Labelled, *, threads: int = 2, report: Report = lambda *_: None
) -> tuple[dict[str, Any], Styles]:
    """AUC of heads on the first finding, plain by patient, with a style left out, and with the rare
    combinations left out; each with its 95% interval from resampling patients.
    """
    truth = data.labels[:, 0]
    total, done = 2 * len(data), 0

    def on_images(count: int) -> None:
        nonlocal done
        done += count
        report("Styles", done, total)

    styles = find_styles(data.images, truth, seed=_SEED, threads=threads, on_images=on_images)
    frozen = FrozenFeatures(side=data.images.shape[1], threads=threads)
    features = frozen.of(
        lambda first, last: network_input(data.images[first:last]), len(data), on_images=on_images
    )
    fold = split_by_patient(data.patients, shares=[1 / FOLDS] * FOLDS, seed=_SEED)
    heads = _Heads(features, truth, data.patients, report=report, total=FOLDS + 2 * STYLES + 1)
    plain = np.full(len(data), np.nan)
    for number in range(FOLDS):
        plain[fold == number] = heads.without(fold == number)[fold == number]
    counted = [number for number in range(STYLES) if _counted(styles.style == number, truth, data.patients)]
    left_out, rare_out = np.full(len(data), np.nan), np.full(len(data), np.nan)
    against = styles.against(truth)
    for number in counted:
        here = styles.style == number
        left_out[here] = heads.without(here)[here]
        # Of the common class a fold is held out as well: the rare one must be told from something.
        tested = here & (against | (fold == 0))
        rare_out[tested] = heads.without(tested)[tested]
    all_rare = heads.without(against)
    heads.finished()
    within = _Within(styles.style, truth, data.patients)
    opposed = against & np.isin(styles.style, counted)
    return {
        "images": len(data),
        "patients": len(np.unique(data.patients)),
        "purity": round(styles.purity(truth), 4),
        "styles": [
            {
                "images": int(styles.images[number]),
                "with_finding": round(float(styles.share_with[number]), 4),
                "rare": int((against & (styles.style == number)).sum()),
                "counted": number in counted,
                **{
                    name: _auc(truth, score, styles.style == number)
                    for name, score in (
                        ("plain", plain),
                        ("style_left_out", left_out),
                        ("rare_class_left_out", rare_out),
                    )
                },
            }
            for number in range(STYLES)
        ],
        "plain": _opposed(truth, plain, data.patients, np.ones(len(data), dtype=np.bool_)),
        "within_style": {
            "plain": within.figure(plain),
            "style_left_out": within.figure(left_out),
            "rare_class_left_out": within.figure(rare_out),
        },
        "rare_combinations": {
            "images": int(opposed.sum()),
            "with_finding": int((truth[opposed] > 0.5).sum()),
            "plain": _opposed(truth, plain, data.patients, opposed),
            "all_left_out": _opposed(truth, all_rare, data.patients, opposed),
        },
    }, styles


def bundle_by_style(
    styles: Styles, truth: NDArray[np.float32], score: Array, patients: NDArray[np.str_]
) -> dict[str, Any]:
    """How a network trained elsewhere does on these images: AUC within their styles, and between the rare
    combinations alone. The styles are of these images, in their order; scores are log odds.
    """
    return {
        "within_style": _Within(styles.style, truth, patients).figure(score),
        "rare_combinations": _opposed(truth, score, patients, styles.against(truth)),
    }


class _Heads:
    """Scores of heads that saw no patient of what is held out."""

    def __init__(
        self,
        features: Float,
        truth: NDArray[np.float32],
        patients: NDArray[np.str_],
        *,
        report: Report,
        total: int,
    ) -> None:
        self._features, self._truth, self._patients = features, truth, patients
        self._report, self._total, self._done = report, total, 0

    def without(self, held_out: NDArray[np.bool_]) -> Array:
        """Log odds for all images, by a head fitted without the patients who have an image held out."""
        seen = ~np.isin(self._patients, np.unique(self._patients[held_out]))
        weight, bias = fit_head(self._features[seen], self._truth[seen, None])
        self._done += 1
        self._report("Heads", self._done, self._total)
        return np.asarray(self._features @ weight[0] + bias[0], dtype=np.float64)

    def finished(self) -> None:
        """Styles with too few patients of a class needed no head."""
        self._report("Heads", self._total, self._total)


class _Within:
    """AUC over pairs of images of one style: what the style itself gives away is worth nothing here."""

    def __init__(
        self, style: NDArray[np.int_], truth: NDArray[np.float32], patients: NDArray[np.str_]
    ) -> None:
        self._style, self._truth, self._patients = style, truth, patients

    def figure(self, score: Array) -> Interval | None:
        """The share of pairs in the right order, over the images that have a score."""
        has = np.flatnonzero(np.isfinite(score))

        def pairs(at: NDArray[np.intp]) -> float:
            chosen, right, count = has[at], 0.0, 0.0
            for number in np.unique(self._style[chosen]):
                here = chosen[self._style[chosen] == number]
                positive = float((self._truth[here] > 0.5).sum())
                weight = positive * (len(here) - positive)
                if weight:
                    right += weight * merit.auc(self._truth[here], score[here])
                    count += weight
            return right / count if count else float("nan")

        return _with_interval(pairs, self._patients[has])


def _counted(here: NDArray[np.bool_], truth: NDArray[np.float32], patients: NDArray[np.str_]) -> bool:
    return all(len(np.unique(patients[here & ((truth > 0.5) == present)])) >= LEAST for present in (0, 1))


def _auc(truth: NDArray[np.float32], score: Array, here: NDArray[np.bool_]) -> float | None:
    has = here & np.isfinite(score)
    figure = merit.auc(truth[has], score[has]) if has.any() else float("nan")
    return round(figure, 4) if np.isfinite(figure) else None


def _opposed(
    truth: NDArray[np.float32], score: Array, patients: NDArray[np.str_], chosen: NDArray[np.bool_]
) -> Interval | None:
    at = np.flatnonzero(chosen & np.isfinite(score))
    figure = _with_interval(lambda some: merit.auc(truth[at[some]], score[at[some]]), patients[at])
    if figure is None:
        return None
    # Heads weigh the classes alike and give log odds: 0 is where they say more likely than not.
    called = score[at] >= 0
    return figure | {
        "sensitivity": round(merit.sensitivity(truth[at], called), 4),
        "specificity": round(merit.specificity(truth[at], called), 4),
    }


def _with_interval(
    figure: Callable[[NDArray[np.intp]], float], patients: NDArray[np.str_]
) -> Interval | None:
    """The figure of all images with its 95% interval; None where there are none to tell apart."""
    value = figure(np.arange(len(patients)))
    if not np.isfinite(value):
        return None
    low, high = merit.bootstrap(patients, figure, rounds=300, seed=_SEED)
    return {"value": round(value, 4), "low": round(low, 4), "high": round(high, 4)}
