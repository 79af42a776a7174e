"""Which part of the data each image is in: trained on, chosen by, calibrated on, or left alone."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.dataset import Labelled, split_by_patient
from models.examples import DatasetRefused
from models.sentence import sentence

TRAIN, SELECT, CALIBRATE, UNTOUCHED = 0, 1, 2, 3
SHARES = (0.8, 0.08, 0.12)


HALF = 0.5
"""Of those the bundle has not learnt from at least so many teach it: they are what is new."""


def parts_of(
    data: Labelled, *, seed: int, taught: NDArray[np.bool_] | None = None, choosing: bool = True
) -> NDArray[np.int_]:
    """For each image: trained on (0), chosen by (1), calibrated on (2), or kept for testing and not touched
    here (3).

    Patients of a test split are never touched. Training and validation splits are pooled and drawn anew by
    patient, since choosing and calibrating need two sets that no patient shares. Images whose patients have
    ``taught`` the bundle that training goes on from are trained on; the others make up the two sets, the one
    to calibrate on first, up to their shares of all patients. Without ``choosing`` nobody is set aside to
    choose by. Raises `DatasetRefused` where of every finding a part that is needed would lack a class.
    """
    usable = data.splits != "test"
    part = np.full(len(data), UNTOUCHED, dtype=np.int_)
    drawn, shares = usable, SHARES
    if taught is not None:
        part[usable & taught] = TRAIN
        drawn = usable & ~taught
        shares = _shares(data.patients[drawn], of=data.patients[usable], choosing=choosing)
    strata = (data.labels @ (2 ** np.arange(data.labels.shape[1]))).astype(np.int_)
    part[drawn] = split_by_patient(
        data.patients[drawn],
        shares=shares,
        seed=seed,
        strata=_one_stratum_each(data.patients[drawn], strata[drawn]),
    )
    needed = {TRAIN: "training", CALIBRATE: "calibration"} | ({SELECT: "choosing"} if choosing else {})
    lacking = [
        next((purpose for number, purpose in needed.items() if not _has_both(data, at, part == number)), None)
        for at in range(len(data.findings))
    ]
    if all(lacking):
        known = "" if taught is None else " that the bundle has not learnt from"
        raise DatasetRefused(
            f"There are too few patients{known}: the part for {lacking[0]} would lack {data.findings[0]} "
            "or its absence. Give at least about 15 patients of each class."
        )
    return part


def learnable(data: Labelled, part: NDArray[np.int_]) -> Labelled:
    """The data without those findings of which a part lacks the one class or the other, and without the
    subtypes of these; the notices tell of them. Their images stay, as images without the other findings.
    """
    parts = [part == number for number in (TRAIN, SELECT, CALIBRATE) if (part == number).any()]
    rare = [
        name for at, name in enumerate(data.findings) if not all(_has_both(data, at, mine) for mine in parts)
    ]
    kept = [
        at
        for at, name in enumerate(data.findings)
        if name not in rare and not any(name.endswith(f" {of}") for of in rare)
    ]
    if len(kept) == len(data.findings):
        return data
    left_out = [name for at, name in enumerate(data.findings) if at not in kept]
    if not kept:
        raise DatasetRefused(
            f"There are too few patients with or without {', '.join(left_out)}. Give at least about 15 "
            "patients of each class."
        )
    told = sentence(
        f"Not learnt, as too few patients have it or are without it: {', '.join(left_out)}. It takes at "
        "least about 15 patients of each class."
    )
    return replace(
        data,
        labels=np.ascontiguousarray(data.labels[:, kept]),
        findings=tuple(data.findings[at] for at in kept),
        notices=(*data.notices, told),
    )


def _has_both(data: Labelled, finding: int, chosen: NDArray[np.bool_]) -> bool:
    truth = data.labels[chosen, finding] > 0.5
    return bool(truth.any() and not truth.all())


def _shares(
    strangers: NDArray[np.str_], *, of: NDArray[np.str_], choosing: bool
) -> tuple[float, float, float]:
    """What shares of the strangers give the two sets their shares of all patients, as far as they go."""
    scale = len(np.unique(of)) / max(len(np.unique(strangers)), 1)
    calibrate = min(HALF, SHARES[CALIBRATE] * scale)
    select = min(1.0 - calibrate, SHARES[SELECT] * scale) if choosing else 0.0
    return 1.0 - calibrate - select, select, calibrate


def _one_stratum_each(patients: NDArray[np.str_], strata: NDArray[np.int_]) -> NDArray[np.int_]:
    """A patient with images of several classes counts in the highest, so that nobody is split."""
    highest: dict[str, int] = {}
    for patient, stratum in zip(patients, strata, strict=True):
        highest[str(patient)] = max(highest.get(str(patient), 0), int(stratum))
    return np.array([highest[str(patient)] for patient in patients], dtype=np.int_)


def describe(data: Labelled, part: NDArray[np.int_]) -> dict[str, Any]:
    """Counts of images and patients of each part."""
    names = {"train": TRAIN, "select": SELECT, "calibrate": CALIBRATE, "test, untouched": UNTOUCHED}
    return {
        name: {
            "images": int((part == number).sum()),
            "patients": len(np.unique(data.patients[part == number])),
            **{
                finding: int(data.labels[part == number, at].sum())
                for at, finding in enumerate(data.findings)
            },
        }
        for name, number in names.items()
    }
