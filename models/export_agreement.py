"""Whether an exported graph says what its bundle says: on drawn chests, and on the caller's own pictures."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from models.bundle import Bundle, ImageScreening
from models.export_formats import Ask, ExportRefused
from models.manifest import Manifest
from models.phantom import phantom
from models.pixel_gate import margins
from models.preprocess import prepare
from models.runtime import AGREEMENT_TOLERANCE, OpenVinoRuntime
from models.sentence import sentence

PICTURES = 100
TOLERANCE = {"probability": AGREEMENT_TOLERANCE, "logit": 0.1, "activation_map": 0.05, "gate": 0.1}
"""Largest difference from the bundle in single precision that an export may show in any picture of 16 bits.
Of 8 bits the bundle rounds where it averages large pictures in whole boxes, and a graph cannot: how much that
is, is told beside.
"""
_SEED = 50_005
_CLOUDS = 15.0
"""Their standard deviation in grey levels."""
_SIZES = (
    (256, 256),
    (320, 270),
    (512, 640),
    (900, 750),
    (1024, 1024),
    (1430, 1170),
    (2048, 1800),
    (160, 160),
)
_LANES = {"rule-in": 1, "abstain": 0, "rule-out": -1}
Picture = NDArray[np.uint8]


@dataclass(frozen=True)
class Agreement:
    """How far the graph was from the bundle at most, by output; over so many pictures."""

    pictures: int
    phantoms: int
    left_out: int
    """Pictures that the bundle takes for no radiograph at all, such as blank ones."""
    largest: Mapping[str, float]
    lanes_that_differ: int
    rounding: float
    """By how much a probability differs at most from what the bundle says of the same picture of 8 bits."""

    def as_json(self) -> dict[str, Any]:
        """With the tolerances beside."""
        return {
            "pictures": self.pictures,
            "phantoms": self.phantoms,
            "left_out": self.left_out,
            "largest_difference": {name: float(value) for name, value in self.largest.items()},
            "tolerance": dict(TOLERANCE),
            "lanes_that_differ": self.lanes_that_differ,
            "largest_by_rounding": self.rounding,
            "compared_with": "the bundle through OpenVINO in single precision",
        }


def phantoms(count: int) -> list[Picture]:
    """Drawn chests of many sizes, half with an opacity, behind clouds: a radiograph has no flat areas,
    in which the least rounding would decide a pixel's rank.
    """
    return [_clouded(_SEED + at, *_SIZES[at % len(_SIZES)], opacity=at % 2 == 1) for at in range(count)]


def _clouded(seed: int, rows: int, columns: int, *, opacity: bool) -> Picture:
    drawn = phantom(seed, rows=rows, columns=columns, opacity=opacity).astype(np.float32)
    clouds = np.random.default_rng(seed).normal(0, _CLOUDS, (24, 24)).astype(np.float32)
    drawn += cv2.resize(clouds, (columns, rows), interpolation=cv2.INTER_CUBIC)
    return np.asarray(np.round(np.clip(drawn, 0, 255)), dtype=np.uint8)


def compared(
    members: Mapping[str, bytes],
    manifest: Manifest,
    ask: Ask,
    *,
    pictures: Sequence[Picture] = (),
    report: Callable[[str, int, int], None] = lambda *_: None,
) -> Agreement:
    """The graph and the bundle on the phantoms and then on these pictures, uint8 (rows, columns).

    Raises `ExportRefused` where they disagree by more than `TOLERANCE` in any.
    """
    runtime = OpenVinoRuntime(members, precision="fp32")
    # Without its gate, which would not let drawings pass; that is compared for itself below.
    bundle = Bundle(replace(manifest, familiarity={}, appearance={}), runtime, research=True)
    drawn = phantoms(PICTURES)
    largest = dict.fromkeys(TOLERANCE, 0.0)
    differing = wrong = left_out = 0
    rounding = 0.0
    for at, picture in enumerate((*drawn, *pictures)):
        report("Comparing", at, len(drawn) + len(pictures))
        screened, rounded = bundle.screen([picture.astype(np.uint16) * 257, picture])
        if screened.outcome == "withheld":
            left_out += 1
            continue
        said = ask(np.ascontiguousarray(picture, dtype=np.float32))
        expected = _expected(screened, manifest)
        if "gate" in said:
            expected["gate"] = _gate(runtime, manifest, picture)
        if rounded.outcome == "screened":
            eight = _expected(rounded, manifest)["probability"]
            rounding = max(rounding, float(np.abs(said["probability"] - eight).max()))
        for name, values in expected.items():
            if name != "lane":
                largest[name] = max(largest[name], _difference(said[name], values))
        other = np.asarray(said["lane"]) != expected["lane"]
        differing += int(other.sum())
        wrong += int((other & ~_near_a_cut(expected["probability"], manifest)).sum())
    report("Comparing", len(drawn) + len(pictures), len(drawn) + len(pictures))
    beyond = [name for name, most in TOLERANCE.items() if not largest[name] <= most]
    if beyond:
        name = beyond[0]
        raise ExportRefused(
            sentence(
                f"The export disagrees with the bundle by {largest[name]:.4f} in its {name}, "
                f"and {TOLERANCE[name]:g} is allowed; it was not kept."
            )
        )
    if wrong:
        raise ExportRefused(sentence("The export names other lanes than the bundle; it was not kept."))
    return Agreement(
        pictures=len(drawn) + len(pictures) - left_out,
        phantoms=len(drawn),
        left_out=left_out,
        largest=largest,
        lanes_that_differ=differing,
        rounding=rounding,
    )


def _expected(screened: ImageScreening, manifest: Manifest) -> dict[str, NDArray[np.float32]]:
    findings = [screened.findings[finding.name] for finding in manifest.findings]
    return {
        "probability": np.array([finding.probability for finding in findings], np.float32),
        "logit": np.array([finding.logit for finding in findings], np.float32),
        "activation_map": np.array([finding.activation_map for finding in findings], np.float32),
        "lane": np.array([_LANES[finding.lane] for finding in findings], np.float32),
    }


def _near_a_cut(probability: NDArray[np.float32], manifest: Manifest) -> NDArray[np.bool_]:
    """Where a probability within the tolerance of this one can be on the other side of a threshold."""
    near = np.zeros(len(probability), bool)
    for at, finding in enumerate(manifest.findings):
        cuts = manifest.thresholds[finding.name]
        near[at] = any(
            cut is not None and abs(probability[at] - cut) <= TOLERANCE["probability"]
            for cut in (cuts.rule_in, cuts.rule_out)
        )
    return near


def _gate(runtime: OpenVinoRuntime, manifest: Manifest, picture: Picture) -> NDArray[np.float32]:
    """What the graph's gate should say, from the bundle's own parts."""
    sixteen = picture.astype(np.uint16) * 257
    look = runtime.look(prepare(sixteen, side=manifest.input_size)[None, None])
    limits = manifest.appearance.get("limits", {})
    odds = margins(look.appearances) if limits and look.appearances.size else {}
    beyond = [float(values[0]) - limits[name] for name, values in odds.items()]
    if manifest.familiarity.get("limit") is not None:
        beyond.append(float(look.distances[0]) - float(manifest.familiarity["limit"]))
    return np.array(beyond, np.float32)


def _difference(said: NDArray[np.float32], expected: NDArray[np.float32]) -> float:
    """The largest, of numbers beyond 1 as a share of them; inf where shapes differ or a number is none."""
    said = np.asarray(said, np.float32)
    if said.shape != expected.shape or not np.isfinite(said).all():
        return float("inf")
    return float((np.abs(said - expected) / np.maximum(1.0, np.abs(expected))).max(initial=0.0))
