"""The styles as files for people, and in lines."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray

from models.dataset import Labelled
from models.figures import log_odds
from models.judge import Report
from models.styles import STYLES, Styles
from models.styles_out import Interval, bundle_by_style, leave_styles_out

_SHOWN = 12
"""Images of each style on the sheet."""
_TILE = 120
_SPLITS = {
    "plain": "patients left out",
    "style_left_out": "style left out",
    "rare_class_left_out": "rare class of the style left out",
}


def style_outcome(
    data: Labelled,
    evaluated: dict[str, Any],
    *,
    kept: NDArray[np.bool_] | None,
    report: Report = lambda *_: None,
) -> tuple[dict[str, Any], Styles]:
    """`leave_styles_out` of all the data, and beside it the evaluated bundle on the images ``kept`` of them
    (all if None), where it withheld none.
    """
    outcome, styles = leave_styles_out(data, report=report)
    chosen = np.ones(len(data), dtype=np.bool_) if kept is None else kept
    score = log_odds(np.array(evaluated["curve"]["probability"]))
    if len(score) == int(chosen.sum()):
        here = Styles(styles.style[chosen], styles.share_with, styles.images)
        truth, patients = data.labels[chosen, 0], data.patients[chosen]
        outcome["bundle"] = bundle_by_style(here, truth, score, patients)
    return outcome, styles


def write_styles(
    outcome: dict[str, Any], styles: Styles, data: Labelled, folder: Path
) -> tuple[Path, Path, Path]:
    """``styles.json``, ``styles.png`` and ``styles.jpg``, some images of each style; gives their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    document, picture, sheet = folder / "styles.json", folder / "styles.png", folder / "styles.jpg"
    document.write_text(json.dumps(outcome, indent=1) + "\n", encoding="utf-8")
    _draw(outcome, picture)
    _, code = cv2.imencode(".jpg", _examples(styles, data), [cv2.IMWRITE_JPEG_QUALITY, 85])
    sheet.write_bytes(code.tobytes())
    return document, picture, sheet


def tell_styles(outcome: dict[str, Any]) -> Iterator[str]:
    """The outcome in lines for a terminal."""
    yield f"  the style alone tells the classes    {outcome['purity']:.3f}  balanced accuracy"
    yield "  a head on frozen features, AUC between images of one style:"
    for name, words in _SPLITS.items():
        yield f"    {words:34s} {_with_interval(outcome['within_style'][name])}"
    rare = outcome["rare_combinations"]
    yield f"  between the {rare['images']} images of the rare combinations of style and class:"
    for name, words in (("plain", "patients left out"), ("all_left_out", "all of them left out")):
        yield f"    {words:34s} {_with_interval(rare[name])}"
    if "bundle" in outcome:
        found = outcome["bundle"]
        yield f"  the bundle, images of one style      {_with_interval(found['within_style'])}"
        yield f"  the bundle, rare combinations        {_with_interval(found['rare_combinations'])}"


def _with_interval(figure: Interval | None) -> str:
    if figure is None:
        return "too few to say"
    errors = ""
    if "sensitivity" in figure:
        errors = f", at even odds {figure['sensitivity']:.3f} sensitive, {figure['specificity']:.3f} specific"
    return f"{figure['value']:.3f}  ({figure['low']:.3f} to {figure['high']:.3f}){errors}"


def _draw(outcome: dict[str, Any], picture: Path) -> None:
    figure = Figure(figsize=(11, 3.9), layout="constrained")
    left, right = figure.subplots(1, 2)
    rows = outcome["styles"]
    places = np.arange(len(rows))
    with_it = np.array([row["images"] * row["with_finding"] for row in rows])
    left.barh(places, with_it, color="#1f4e79", label="with the finding")
    left.barh(
        places, [row["images"] for row in rows] - with_it, left=with_it, color="#bbbbbb", label="without"
    )
    left.set(xlabel="images", ylabel="style", title=f"Purity {outcome['purity']:.3f}", yticks=places)
    left.legend()
    for name, words in _SPLITS.items():
        found = [(place, row[name]) for place, row in zip(places, rows, strict=True) if row[name] is not None]
        right.plot([value for _, value in found], [place for place, _ in found], "o", label=words)
    right.set(xlabel="AUC within the style", yticks=places, title="A head on frozen features")
    right.legend()
    for axis in (left, right):
        axis.set_ylim(-0.6, len(rows) - 0.4)
        axis.invert_yaxis()
    FigureCanvasAgg(figure).print_figure(str(picture))


def _examples(styles: Styles, data: Labelled) -> NDArray[np.uint8]:
    """A row of images of each style, those with the finding framed."""
    rows = []
    for number in range(STYLES):
        members = np.flatnonzero(styles.style == number)
        drawn = np.random.default_rng(number).permutation(members)[:_SHOWN]
        tiles = [
            cv2.copyMakeBorder(
                cv2.resize(data.images[at], (_TILE - 6, _TILE - 6), interpolation=cv2.INTER_AREA),
                *(3, 3, 3, 3),
                cv2.BORDER_CONSTANT,
                value=255 if data.labels[at, 0] > 0.5 else 0,
            )
            for at in drawn
        ]
        tiles += [np.zeros((_TILE, _TILE), np.uint8)] * (_SHOWN - len(tiles))
        rows.append(np.hstack(tiles))
    return np.asarray(np.vstack(rows), dtype=np.uint8)
