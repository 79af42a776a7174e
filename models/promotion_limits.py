"""The limits of the gate: margins against the active bundle, and what a candidate must reach by itself."""

from __future__ import annotations

MARGINS: dict[str, float] = {
    "auc": 0.005,
    "sensitivity": 0.02,
    "specificity": 0.03,
    "stress": 0.01,
    "subgroup auc": 0.02,
    "subgroup sensitivity": 0.06,
    "subgroup specificity": 0.06,
    "retention": 0.02,
    "withheld": 0.01,
    "subgroup withheld": 0.02,
    "withheld when changed": 0.02,
    "calibration error": 0.05,
}
"""The first seven: the largest loss that the lower end of the 95% interval of the difference may still allow.
Retention: the share of the images that the active bundle called right which the candidate may call wrong.
Withheld: the share of the images by which the candidate may withhold more. Calibration error: how far the
probabilities may be, on average and at even odds, from those of the best line through their log odds.
"""
FLOORS: dict[str, float] = {"auc": 0.8, "sensitivity": 0.8}
"""What the lower end of the 95% interval of the candidate's own figure must reach in every subgroup that is
large enough, whatever the active bundle does there: a group that both misread must not pass.
"""
NEW_FLOORS: dict[str, float] = FLOORS | {"specificity": 0.8}
"""The same of a finding by which the active bundle ranks nobody, of the whole test and of every subgroup that
is large enough: no margin bounds its false alarms, which come first on the worklist. The AUC's floor holds
under acquisition changes of every grade too.
"""
