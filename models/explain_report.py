"""What `models.explain` found, as files for people: JSON, a picture, and the outlines of the thorax to check
by eye.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray

from models.bundle_file import MANIFEST, unseal
from models.dataset import Labelled
from models.explain import explain
from models.explain_figures import KINDS, by_kind
from models.judge import Report
from models.manifest import from_json
from models.runtime import start
from models.thorax import draw_outlines

OUTLINES = 100
"""Images on the contact sheet."""
_COLOURS = {"map": "#1f4e79", "centre": "#c05a00", "random": "#999999"}


def explain_file(
    bundle: Path, data: Labelled, *, device: str = "auto", seed: int, report: Report = lambda *_: None
) -> dict[str, Any]:
    """`explain` for a bundle file, on patients it was neither trained nor chosen on, through the runtime that
    serves it on this machine. Raises `BundleRefused`.
    """
    members, sha256 = unseal(bundle)
    manifest = from_json(members[MANIFEST], sha256=sha256)
    return explain(start(members, manifest, device=device), members, manifest, data, seed=seed, report=report)


def write_explanations(
    outcome: dict[str, Any], images: NDArray[np.uint8], folder: Path, *, seed: int
) -> tuple[Path, ...]:
    """``explanations.json``, ``explanations.png`` (not where too few images were called to test) and
    ``thorax.jpg``, the outlines on up to 100 of the images (n, side, side); gives the paths written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    document, picture, sheet = (
        folder / name for name in ("explanations.json", "explanations.png", "thorax.jpg")
    )
    document.write_text(json.dumps(outcome, indent=1) + "\n", encoding="utf-8")
    drawn = np.random.default_rng(seed).permutation(len(images))[:OUTLINES]
    _, code = cv2.imencode(".jpg", draw_outlines(images[drawn]), [cv2.IMWRITE_JPEG_QUALITY, 85])
    sheet.write_bytes(code.tobytes())
    if "curves" not in outcome:
        return document, sheet
    draw_explanations(outcome, picture)
    return document, picture, sheet


def draw_explanations(outcome: dict[str, Any], picture: Path) -> None:
    """Deletion and insertion curves, correlations under random weights, and shares outside the thorax; a row
    for each kind of map that was tested.
    """
    kinds = {kind: found for kind, found in by_kind(outcome).items() if "curves" in found}
    figure = Figure(figsize=(15, 4.2 * len(kinds)), layout="constrained")
    for part, (kind, found) in zip(
        figure.subfigures(len(kinds), 1, squeeze=False)[:, 0], kinds.items(), strict=True
    ):
        deletion, insertion, randomised, thorax = part.subplots(1, 4)
        _curves(deletion, found["curves"]["deletion"], "Deletion: lower is better")
        _curves(insertion, found["curves"]["insertion"], "Insertion: higher is better")
        _randomised(randomised, found["randomised"], limit=found["limits"]["randomised_correlation"])
        _thorax(thorax, found["thorax"])
        passes = "passes" if found["passes"] else "fails"
        part.suptitle(f"{KINDS[kind].capitalize()} of {found['finding']}, {found['images']} images: {passes}")
    FigureCanvasAgg(figure).print_figure(str(picture))


def _curves(axis: Axes, found: dict[str, Any], title: str) -> None:
    for name, colour in _COLOURS.items():
        curve, area = found[name]["curve"], found[name]["area"]["value"]
        axis.plot(np.linspace(0, 1, len(curve)), curve, color=colour, label=f"{name}, area {area:.3f}")
    axis.set(xlabel="share of the picture exchanged", ylabel="probability", title=title, ylim=(0, 1))
    axis.legend()


def _randomised(axis: Axes, found: dict[str, Any], *, limit: float) -> None:
    names = list(found["cascading"])
    for kind, marker in (("cascading", "o"), ("independent", "x")):
        if kind not in found:
            continue
        axis.plot([found[kind][name] for name in names], range(len(names)), marker, label=kind)
    axis.axvline(found["of_other_patients"], color="#999999", linestyle=":", label="map of another patient")
    axis.axvline(limit, color="#c05a00", linewidth=1, label="limit for head and stem, cascading")
    axis.set_yticks(range(len(names)), names)
    axis.invert_yaxis()
    axis.set(
        xlabel="rank correlation with the true map, without sign", title="Random weights", xlim=(0, 1.02)
    )
    axis.legend(fontsize="x-small")


def _thorax(axis: Axes, found: dict[str, Any]) -> None:
    for place, (name, colour) in enumerate((("outside", "#1f4e79"), ("area", "#999999"))):
        share = found[name]
        spread = [[share["value"] - share["low"]], [share["high"] - share["value"]]]
        axis.bar(place, share["value"], yerr=spread, color=colour, capsize=4)
    axis.set_xticks([0, 1], ["of what speaks for it", "of the area"])
    axis.set(ylabel="share", title="Outside the thorax", ylim=(0, 1))
