"""The plots of a training as data: what scripts draw as SVG, and the page has in tables beside it."""

from __future__ import annotations

from typing import Any

from app.language import _

_MOST_POINTS = 400


def plots_of(told: list[dict[str, Any]], curve: dict[str, Any] | None) -> dict[str, Any]:
    """`{loss, auc, learning}` for js/training.js: what was told so far, in the reader's words."""
    steps = {line["step"]: line["loss"] for line in told if line.get("event") == "step"}
    spread = max(1, len(steps) // _MOST_POINTS)
    epochs = {line["epoch"]: line for line in told if line.get("event") == "epoch"}
    began = next((line for line in told if line.get("event") == "start"), None)
    curves = next((line for line in reversed(told) if line.get("event") == "learning curve"), curve)
    learning = (curves or {}).get("points") or []
    return {
        "loss": [[step, steps[step]] for step in sorted(steps)][::spread],
        "auc": ([[0, began["select_auc"]]] if began else [])
        + [[number, epochs[number]["select_auc"]] for number in sorted(epochs)],
        "learning": [
            [point["patients"], point["auc"], point["low"], point["high"]]
            for point in sorted(learning, key=lambda point: point["patients"])
        ],
        "names": names(),
    }


def names() -> dict[str, str]:
    """What the lines of the plot of figures are called."""
    return {
        "plain": _("pictures as they are"),
        "stress .66": _("changed pictures, grade .66"),
        "stress 1": _("changed pictures, grade 1"),
        "worst frame": _("the worst of several frames"),
    }
