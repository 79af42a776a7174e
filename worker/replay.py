"""A past reading made again: the same bundle and images, the same way, and how far what is said now is from
what was said then.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from app.blobs import Blobs
from app.commands.screening import ImageToScreen
from app.dicom.decoder_pool import DecoderPool
from app.dicom.image_header import DICOM
from app.errors import Unprocessable
from app.queries.past_readings import PastImage, PastReading
from models.bundle import Bundle, BundleRefused
from models.bundle_file import read_bundle
from models.runtime import AGREEMENT_TOLERANCE, OpenVinoRuntime, start
from worker.recorder import PROGRAM, image_read
from worker.screen import Batch, ImageFile, ImageScreened
from worker.screener import PREVIEW_SIDE

TOLERANCE = AGREEMENT_TOLERANCE
"""Largest difference in a probability under other conditions: what two runtimes of a bundle may differ by."""
_CONDITIONS = ("library", "device", "threads", "program")
_OPENVINO = "openvino/CPU "


@dataclass(frozen=True, kw_only=True)
class FindingReplayed:
    """One finding of one image, then and now; None where it was not or is not said."""

    image: int
    finding: str
    then: float | None
    now: float | None
    exact: bool
    """Probability, logit and activation map are the same to the last bit that is kept."""

    @property
    def difference(self) -> float:
        """Of the probabilities; 1 where only one of the two says any."""
        if self.then is None or self.now is None:
            return 0.0 if self.then is self.now else 1.0
        return abs(self.then - self.now)


@dataclass(frozen=True, kw_only=True)
class Replayed:
    """What came of making a reading again."""

    reading: PastReading
    runtime: str
    differs: tuple[str, ...]
    """Sentences for the terminal: what is other than it was then, and so may move the last bits."""
    outcomes_agree: bool
    findings: tuple[FindingReplayed, ...]

    @property
    def exact(self) -> bool:
        """Every outcome, reason and number is the same."""
        return self.outcomes_agree and all(finding.exact for finding in self.findings)

    @property
    def reproduced(self) -> bool:
        """To the bit where everything is as it was then, else within the tolerance."""
        if self.exact:
            return True
        within = all(finding.difference <= TOLERANCE for finding in self.findings)
        return bool(self.differs) and self.outcomes_agree and within


class Replayer:
    """Makes readings again, one bundle after the other."""

    def __init__(
        self, *, blobs: Blobs, pool: DecoderPool, device: str, paediatric_sources: tuple[str, ...]
    ) -> None:
        self._blobs = blobs
        self._pool = pool
        self._device = device
        self._paediatric = set(paediatric_sources)
        self._loaded: tuple[tuple[str, str, int | None], Bundle] | None = None

    def replay(self, past: PastReading, *, bundle: Path | None = None) -> Replayed:
        """`bundle` is a file to use where the site's own bytes are gone; it must be the one that read.

        Raises Unprocessable for another one or one that cannot be used, and NotFound where bytes are gone.
        """
        made_with = past.made_with or {}
        loaded = self._bundle(past, bundle, threads=made_with.get("threads"))
        places: Mapping[str, list[int]] = made_with.get("places", {})
        outcomes_agree = True
        findings: list[FindingReplayed] = []
        for number, image in enumerate(past.images):
            at, of = places.get(str(image.image.image_id), [0, 1])
            now = self._again(image.image, loaded, at=at, of=of)
            outcomes_agree &= now.outcome.value == image.outcome and now.reason == image.reason
            findings += _compared(number, image, now)
        return Replayed(
            reading=past,
            runtime=loaded.runtime,
            differs=tuple(_differences(past, loaded)),
            outcomes_agree=outcomes_agree,
            findings=tuple(findings),
        )

    def _again(self, image: ImageToScreen, bundle: Bundle, *, at: int, of: int) -> ImageScreened:
        """The image in the place it had, among as many: images of a pass do not touch each other, but how
        many they are decides how the processor adds up.
        """
        header = image.header
        file = ImageFile(
            path=self._blobs.path(image.sha256),
            header=header,
            door="dicom" if header.media_type == DICOM else "file",
            paediatric_source=not self._paediatric.isdisjoint(
                (image.source, header.station_name, header.institution_name)
            ),
        )
        return Batch([file] * of, pool=self._pool, bundle=bundle, preview_side=PREVIEW_SIDE).screen()[at]

    def _bundle(self, past: PastReading, file: Path | None, *, threads: int | None) -> Bundle:
        key = (past.bundle_sha256, past.runtime, threads)
        if self._loaded is None or self._loaded[0] != key:
            self._loaded = None
            path = self._blobs.path(past.bundle_sha256) if file is None else file
            self._loaded = (key, _load(path, past, device=self._device, threads=threads))
        return self._loaded[1]


def _load(path: Path, past: PastReading, *, device: str, threads: int | None) -> Bundle:
    """On the runtime and in the precision of then, where this machine has them."""
    try:
        members, manifest = read_bundle(path)
        if manifest.sha256 != past.bundle_sha256:
            raise Unprocessable(
                f"{path.name} is another bundle ({manifest.sha256[:12]}) than the one that made the reading "
                f"({past.bundle_sha256[:12]})."
            )
        if past.runtime.startswith(_OPENVINO):
            device = "cpu"
        runtime = start(members, manifest, device=device, threads=threads)
        if past.runtime == f"{_OPENVINO}fp32" and runtime.name != past.runtime:
            runtime = OpenVinoRuntime(members, precision="fp32", threads=threads)
    except BundleRefused as error:
        raise Unprocessable(str(error)) from error
    return Bundle(manifest, runtime, research=False)


def _differences(past: PastReading, bundle: Bundle) -> list[str]:
    if past.made_with is None:
        return ["It was recorded before batch, device and threads were kept: to the bit it cannot be told."]
    found = []
    if past.runtime != bundle.runtime:
        found.append(f"The runtime was {past.runtime} and is {bundle.runtime}.")
    now = bundle.conditions | {"program": PROGRAM}
    for condition in _CONDITIONS:
        then = past.made_with.get(condition)
        if then != now.get(condition):
            found.append(f"The {condition} was {then} and is {now.get(condition)}.")
    return found


def _compared(number: int, image: PastImage, now: ImageScreened) -> list[FindingReplayed]:
    said = image_read(image.image, now, None)
    compared = []
    for name in sorted(set(image.findings) | set(said.findings)):
        then: dict[str, Any] = image.findings.get(name, {})
        new = said.findings.get(name)
        compared.append(
            FindingReplayed(
                image=number,
                finding=name,
                then=then.get("probability"),
                now=None if new is None else new.probability,
                exact=new is not None
                and then.get("probability") == new.probability
                and then.get("logit") == said.logits[name]
                and then.get("activation_map") == said.activation_maps[name]
                and then.get("lane") == new.lane.value,
            )
        )
    return compared
