"""In the child: what a candidate says of images that the active bundle has read, by the same gate and decoder
and in the same way.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import UUID

from app.commands.stored_header import header_from_json
from app.dicom.decoder_pool import DecoderPool
from app.dicom.image_header import DICOM
from app.domain.order import gravest
from app.domain.reading import ImageRead, maximum, outcome_of
from app.domain.sentence import sentence
from app.domain.states import Outcome
from models.bundle import Bundle, BundleRefused
from worker.learning.child import Refused, Report
from worker.recorder import read_of
from worker.screen import Batch, ImageFile, NetworkBroke

_THREADS = 1


def run(
    order: dict[str, Any],
    *,
    report: Report,
    tell: Callable[..., None],  # noqa: ARG001 - it has nothing to tell
) -> dict[str, Any]:
    """The answer has what the network says of each reading's images, and its runtime. Raises Refused for a
    bundle that cannot be used.
    """
    try:
        bundle = Bundle.load(Path(order["bundle"]), device="cpu", threads=_THREADS)
    except BundleRefused as error:
        raise Refused(str(error)) from error
    readings, paediatric = order["readings"], set(order["paediatric_sources"])
    answers = []
    with DecoderPool(
        processes=1, seconds=order["decoder_seconds"], memory_bytes=order["decoder_memory"]
    ) as pool:
        for done, reading in enumerate(readings):
            report(sentence("Reading in shadow"), done, len(readings))
            answers.append(_study(reading, pool=pool, bundle=bundle, paediatric=paediatric))
    report(sentence("Reading in shadow"), len(readings), len(readings))
    return {"runtime": bundle.runtime, "readings": answers}


def _study(
    reading: dict[str, Any], *, pool: DecoderPool, bundle: Bundle, paediatric: set[str]
) -> dict[str, Any]:
    images = _images(reading["images"], pool=pool, bundle=bundle, paediatric=paediatric)
    outcome, reason = outcome_of(images)
    findings = maximum(images) if outcome is Outcome.SCREENED else {}
    lane = gravest([finding.lane for finding in findings.values() if not finding.research])
    urgency = max((image.urgency for image in images if image.urgency is not None), default=None)
    return {
        "id": reading["id"],
        "outcome": outcome.value,
        "reason": reason,
        "lane": lane.value if lane else None,
        "urgency": urgency if lane else None,
        "findings": {name: finding.as_json() for name, finding in findings.items()},
    }


def _images(
    images: list[dict[str, Any]], *, pool: DecoderPool, bundle: Bundle, paediatric: set[str]
) -> list[ImageRead]:
    ids = [UUID(image["image_id"]) for image in images]
    if any(image["path"] is None for image in images):
        return _failed(ids, sentence("The stored bytes cannot be read."))
    files = [_file(image, paediatric) for image in images]
    try:
        results = Batch(files, pool=pool, bundle=bundle).screen()
    except NetworkBroke as error:
        return _failed(ids, str(error))
    return [read_of(id_, result) for id_, result in zip(ids, results, strict=True)]


def _failed(ids: list[UUID], reason: str) -> list[ImageRead]:
    return [ImageRead(image_id=id_, outcome=Outcome.FAILED, reason=reason) for id_ in ids]


def _file(image: dict[str, Any], paediatric: set[str]) -> ImageFile:
    header = header_from_json(image["header"])
    return ImageFile(
        path=Path(image["path"]),
        header=header,
        door="dicom" if header.media_type == DICOM else "file",
        paediatric_source=not paediatric.isdisjoint(
            (image["source"], header.station_name, header.institution_name)
        ),
    )
