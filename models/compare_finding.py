"""What a comparison says of one finding: one that both bundles rank patients by, or one that the candidate
alone does.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models import figures as merit
from models.answers import Answers, calibration_figures
from models.detail import SUBGROUP_FIGURES, Facts, groups
from models.pair import FIGURES, LANES, Pair, difference, with_interval
from models.paired_tests import delong, mcnemar
from models.stress import GRADES


def patients_of(pair: Pair) -> dict[str, int]:
    """How many, of those whose images both bundles read, have the finding and have not."""
    return {
        "patients_with": len(np.unique(pair.patients[pair.truth])),
        "patients_without": len(np.unique(pair.patients[~pair.truth])),
    }


def has_both_classes(pairs: Sequence[Pair]) -> bool:
    """Whether each has two images with the finding and two without it; with fewer there are no figures."""
    return all(min(int(pair.truth.sum()), int((~pair.truth).sum())) >= 2 for pair in pairs)


def of_both(plain: Pair, stressed: Sequence[Pair], *, rounds: int, seed: int) -> dict[str, Any]:
    """Both bundles' figures, their differences, the cases lost and won, the lanes' moves and the AUC under
    mixed acquisition changes.
    """
    lost, won = _lost_and_won(plain)
    return {
        "active": _figures(plain, 0),
        "candidate": _figures(plain, 1),
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
                "asked": len(pair.asked_truth),
                "withheld": {"active": pair.withheld[0], "candidate": pair.withheld[1]},
            }
            for grade, pair in zip(GRADES, stressed, strict=True)
        ],
    }


def of_candidate(
    plain: Pair, stressed: Sequence[Pair], *, facts: Facts, rounds: int, seed: int
) -> dict[str, Any]:
    """The candidate's own figures with intervals (``own``), under mixed acquisition changes too, and of
    subgroups, where no bundle is beside it.
    """

    def own_of(pair: Pair, *names: str) -> dict[str, dict[str, float | None]]:
        def figures(at: NDArray[np.intp]) -> list[float]:
            return [FIGURES[name](pair, 1, at) for name in names]

        found = with_interval(pair.patients, figures, rounds=rounds, seed=seed)
        return dict(zip(names, found, strict=True))

    of_groups = groups(plain, facts=facts, rounds=rounds, seed=seed)
    for group in of_groups["subgroups"]:
        del group["active"], group["difference"]
    return {
        "candidate": _figures(plain, 1),
        "own": own_of(plain, *SUBGROUP_FIGURES),
        "stress": [
            {"grade": grade, "own": own_of(pair, "auc")} for grade, pair in zip(GRADES, stressed, strict=True)
        ],
        "detail": of_groups,
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
