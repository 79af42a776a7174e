"""A bundle that is loaded and screens: arrays in, findings with probabilities, lanes and class activation
maps out.

Imports no torch: on a processor the network runs through OpenVINO from what the bundle carries.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from models.bundle_file import read_bundle
from models.manifest import BundleRefused, Manifest
from models.pixel_gate import (
    INVERTED,
    INVERTED_NOTICE,
    MIRRORED_NOTICE,
    POLARITY_UNSURE,
    margins,
    refuse_pixels,
    refuse_shape,
    stance,
)
from models.preprocess import Float, reading_side, squash, standardise
from models.runtime import LARGEST_BATCH, Look, Runtime, start
from models.sentence import sentence

__all__ = ["Bundle", "BundleRefused", "FindingResult", "ImageScreening", "Manifest", "default_bundle_path"]

Grey = NDArray[np.uint8] | NDArray[np.uint16]
Lane = Literal["rule-in", "abstain", "rule-out"]

_PREPARING_THREADS = 2


@dataclass(frozen=True)
class FindingResult:
    """What the network says of one finding in one image. No number here is ever NaN or infinite."""

    probability: float
    """Calibrated, 0 to 1."""
    present: bool
    """Whether the probability reaches the bundle's operating point."""
    lane: Lane
    activation_map: tuple[tuple[float, ...], ...]
    """Contributions to the logit, rows from the top, columns from the left; with the finding's bias they sum
    to it.
    """
    logit: float


@dataclass(frozen=True)
class ImageScreening:
    """The answer for one image: screened with findings, or withheld with a sentence."""

    outcome: Literal["screened", "withheld"]
    reason: str | None
    findings: Mapping[str, FindingResult]
    urgency: float
    """0 to 1: the largest probability of a finding that is not research; 0 where withheld."""
    unlike: str | None = None
    """A sentence where the image is farther from those of the training than all but one in a hundred of
    their kind; whoever knows nothing else of the patient should then withhold it.
    """
    embedding: tuple[float, ...] | None = None
    """Of length 1: the cosine of two images of one bundle (the sum of products) says how alike the network
    finds them. None where withheld, and where the bundle carries none.
    """
    notices: tuple[str, ...] = ()
    """Short phrases on what the network took the picture for: inverted, mirrored."""
    place: tuple[int, int] | None = None
    """Which image of the pass it was, from 0, and of how many: with them the same bits come again."""


def default_bundle_path() -> Path:
    """The bundle that comes with the program."""
    return Path(__file__).parent / "bundles" / "paediatric-pneumonia-4.1.bundle"


class Bundle:
    """A network ready to screen; made by `load`."""

    def __init__(self, manifest: Manifest, runtime: Runtime, *, research: bool) -> None:
        self.manifest = manifest
        self.runtime = runtime.name
        self.conditions = dict(runtime.conditions)
        """On what, with what and in how many threads it reads; the same bits are promised on the same."""
        self._runtime = runtime
        self._spoken = [
            (index, finding)
            for index, finding in enumerate(manifest.findings)
            if research or not finding.research
        ]

    @classmethod
    def load(
        cls, path: Path, *, device: str = "auto", research: bool = False, threads: int | None = None
    ) -> Bundle:
        """Read, verify and start a bundle; raises `BundleRefused` with a sentence if it must not be used.

        ``device`` is auto, cpu or cuda; ``research`` adds the research findings; ``threads`` limits
        OpenVINO's threads.
        """
        members, manifest = read_bundle(Path(path))
        return cls(manifest, start(members, manifest, device=device, threads=threads), research=research)

    @property
    def reading_side(self) -> int:
        """As in `models.preprocess.reading_side`: images may come reduced so far."""
        return reading_side(self.manifest.input_size)

    def screen(self, images: Sequence[Grey]) -> list[ImageScreening]:
        """One answer per image, in order.

        Images are uint8 or uint16 (rows, columns), MONOCHROME2 (bone bright), of full resolution or averaged
        in whole boxes down to a shorter side of at least `reading_side`. Nothing about
        an image raises: what cannot be a radiograph is withheld with a sentence.
        """
        answers: list[ImageScreening | None] = [None] * len(images)
        with ThreadPoolExecutor(_PREPARING_THREADS) as pool:
            for first in range(0, len(images), LARGEST_BATCH):
                chunk = range(first, min(first + LARGEST_BATCH, len(images)))
                prepared = dict(
                    zip(chunk, pool.map(self._prepare, (images[index] for index in chunk)), strict=True)
                )
                passing = {
                    index: square for index, square in prepared.items() if isinstance(square, np.ndarray)
                }
                for index, refused in prepared.items():
                    if isinstance(refused, str):
                        answers[index] = _withheld(refused)
                if passing:
                    read = self._read(np.stack(list(passing.values()))[:, None])
                    for index, answer in zip(passing, read, strict=True):
                        answers[index] = answer
        return [answer for answer in answers if answer is not None]

    def _prepare(self, image: Grey) -> Float | str:
        """The network's input for an image, or the sentence why there is none."""
        if image.ndim != 2 or image.dtype not in (np.uint8, np.uint16):
            return sentence("The picture is not a grey image with 8 or 16 bits a pixel.")
        refused = refuse_shape(*image.shape)
        if refused is not None:
            return refused
        square = squash(image, side=self.manifest.input_size)
        return refuse_pixels(square) or standardise(square)

    def _read(self, batch: Float) -> list[ImageScreening]:
        """An answer for each prepared image (n, 1, side, side). What appears inverted is turned round and
        looked at again, and read only if that leaves no doubt.
        """
        limits = self.manifest.appearance.get("limits", {})
        look = self._runtime.look(batch)
        stances = [stance(logits, limits) for logits in look.appearances]
        answers = [
            _withheld(said.withheld) if said.withheld else self._answer(look, at, mirrored=said.mirrored)
            for at, said in enumerate(stances)
        ]
        inverted = [at for at, said in enumerate(stances) if said.inverted]
        if inverted:
            # Grey levels are ranks about zero: turned round they are those of the picture turned round.
            again = self._runtime.look(-batch[inverted])
            for place, at in enumerate(inverted):
                said = stance(again.appearances[place], limits)
                odds = float(margins(again.appearances[place : place + 1])[INVERTED][0])
                sure = not said.withheld and odds < -abs(limits[INVERTED])
                answers[at] = (
                    self._answer(again, place, mirrored=said.mirrored, notices=(INVERTED_NOTICE,))
                    if sure
                    else _withheld(said.withheld or POLARITY_UNSURE)
                )
        return answers

    def _answer(
        self, look: Look, at: int, *, mirrored: bool, notices: tuple[str, ...] = ()
    ) -> ImageScreening:
        """One of the images of a look to its findings."""
        maps, distance, embedding = look.maps[at], float(look.distances[at]), look.embeddings[at]
        beside = np.concatenate([[distance], embedding, look.appearances[at]])
        if not (np.isfinite(maps).all() and np.isfinite(beside).all()):
            return _withheld(
                sentence("The network gave no finite answer for this image; it must be read without.")
            )
        unlike = self._unlike(distance)
        if mirrored and unlike is None:  # of strangers the sides were not learnt
            notices = (*notices, MIRRORED_NOTICE)
        findings = {
            finding.name: self._finding(
                finding.name, maps[index], bias=finding.bias, research=finding.research
            )
            for index, finding in self._spoken
        }
        spoken = [findings[finding.name].probability for _, finding in self._spoken if not finding.research]
        return ImageScreening(
            "screened",
            None,
            findings,
            max(spoken, default=0.0),
            unlike=unlike,
            embedding=tuple(float(value) for value in embedding) or None,
            notices=notices,
            place=(at, len(look.maps)),
        )

    def _unlike(self, distance: float) -> str | None:
        limit = self.manifest.familiarity.get("limit")
        if limit is None or distance <= limit:
            return None
        return sentence(
            f"The image is unlike the radiographs the network was trained on ({distance / limit:.2f} times "
            "as far from them as the limit): another age group, projection or technique would look so."
        )

    def _finding(self, name: str, activation: Float, *, bias: float, research: bool) -> FindingResult:
        logit = float(activation.sum(dtype=np.float64)) + bias
        calibration, thresholds = self.manifest.calibration[name], self.manifest.thresholds[name]
        scaled = min(max(calibration.slope * logit + calibration.intercept, -40.0), 40.0)
        probability = 1 / (1 + math.exp(-scaled))
        lane: Lane = "abstain"
        if not research and thresholds.rule_in is not None and probability >= thresholds.rule_in:
            lane = "rule-in"
        elif not research and thresholds.rule_out is not None and probability < thresholds.rule_out:
            lane = "rule-out"
        rows = tuple(tuple(float(value) for value in row) for row in activation)
        return FindingResult(probability, probability >= thresholds.operating_point, lane, rows, logit)


def _withheld(reason: str) -> ImageScreening:
    return ImageScreening("withheld", reason, {}, 0.0)
