"""A dataset inspected, in the child: every file read and judged, likely label errors found."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np

from app.blobs import Blobs
from app.dicom.decoder_pool import DecoderPool
from app.domain.dataset_path import MOST_FILES
from app.domain.sentence import sentence
from models import doubt
from models.bundle import Bundle, BundleRefused, default_bundle_path
from models.examples import DatasetRefused
from worker.learning.child import Refused, Report
from worker.learning.inspect_file import (
    ARCHIVE,
    LEFT_OUT,
    MANIFEST,
    UNREADABLE,
    USABLE,
    WITHHELD,
    InspectedFile,
)
from worker.learning.inspect_labels import label
from worker.learning.inspect_reading import Reader
from worker.learning.inspect_verdicts import crossing, key_of, named, refusal, tell_copies_apart, warnings
from worker.learning.unpack import Limits, ZipRefused, unpack

_MOST_UNPACKED = 64 * 2**30
_KEPT_FREE = 2**30
_THREADS = 2
_UNPACKING = sentence("Unpacking")


def run(order: dict[str, Any], *, report: Report, tell: Any) -> dict[str, Any]:  # noqa: ARG001
    """`{results: a file of one JSON row a file, said, warnings, crossing}`; `said` is why it is refused.

    Raises Refused where nothing can be said of single files, and Unavailable for a full disk.
    """
    blobs, folder = Blobs(Path(order["blobs"])), Path(order["folder"])
    path = default_bundle_path() if order["bundle"] is None else Path(order["bundle"])
    files = [InspectedFile(**file) for file in order["files"]]
    try:
        files = _unpacked(files, blobs=blobs, order=order, report=report)
        lacking = label(files, blobs=blobs)
        bundle = Bundle.load(path, device="cpu", threads=_THREADS)
    except (DatasetRefused, BundleRefused) as error:
        raise Refused(str(error)) from error
    side = bundle.manifest.input_size
    squares = np.lib.format.open_memmap(
        folder / "squares.npy", mode="w+", dtype=np.uint8, shape=(max(len(files), 1), side, side)
    )
    decoders = order["decoders"]
    with DecoderPool(
        processes=_THREADS, seconds=decoders["seconds"], memory_bytes=decoders["memory_bytes"]
    ) as pool:
        manifests = any(file.outcome == MANIFEST for file in files)
        reader = Reader(blobs=blobs, bundle=bundle, pool=pool, squares=squares, manifests=manifests)
        reader.read(files, report=report)
    for file in files:
        if file.decision == LEFT_OUT:
            file.is_out(LEFT_OUT, sentence("An administrator left it out."))
        elif file.taken_in and file.outcome == WITHHELD:
            file.is_out(USABLE)
    tell_copies_apart(files, squares)
    crossed = crossing(files)
    said = refusal(files, crossed)
    doubted = False
    if said is None:
        doubted = _doubt(files, squares, bundle=path, features=Path(order["features"]), report=report)
    results = folder / "results.jsonl"
    with results.open("w", encoding="utf-8") as lines:
        for file in files:
            lines.write(json.dumps(file.as_row()) + "\n")
    return {
        "results": str(results),
        "said": said,
        "warnings": warnings(files, lacking=lacking),
        "crossing": named(crossed),
        "crossing_patients": len(crossed),
        "doubted": doubted,
        "network": f"{bundle.manifest.name} {bundle.manifest.version}",
    }


def _unpacked(
    files: list[InspectedFile], *, blobs: Blobs, order: dict[str, Any], report: Report
) -> list[InspectedFile]:
    """The files with those of every zip among them. A zip that must not be unpacked refuses the dataset."""
    by_path = {file.path: file for file in files}
    for archive in [file for file in files if file.path.lower().endswith(".zip")]:
        room = shutil.disk_usage(order["blobs"]).free - _KEPT_FREE
        limits = Limits(
            files=MOST_FILES,
            file_bytes=order["limits"]["file_bytes"],
            total_bytes=max(min(room, _MOST_UNPACKED), 0),
        )
        try:
            found = unpack(
                blobs.path(archive.sha256),
                name=archive.path.rpartition("/")[2],
                blobs=blobs,
                limits=limits,
                on_file=lambda done, of: report(_UNPACKING, done, of),
            )
        except ZipRefused as error:
            if len(files) > 1:  # the rest may be good, and the page says what is wrong with this one
                archive.is_out(UNREADABLE, str(error))
                continue
            raise Refused(str(error)) from error
        archive.is_out(ARCHIVE)
        above = archive.path.rpartition("/")[0]
        for one in found:
            inner = f"{above}/{one.path}" if above else one.path
            known = by_path.get(inner)
            if known is None:
                by_path[inner] = InspectedFile(inner, one.sha256, one.byte_size)
            else:
                known.sha256, known.byte_size = one.sha256, one.byte_size
        if len(by_path) > MOST_FILES:
            most = f"{MOST_FILES:,}"
            raise Refused(sentence(f"A dataset may have at most {most} files; this one has more."))
    return list(by_path.values())


def _doubt(files: list[InspectedFile], squares: Any, *, bundle: Path, features: Path, report: Report) -> bool:
    """The doubt of every usable file; False where there are too few patients to have any."""
    usable = [file for file in files if file.usable]
    found = doubt.opinions(
        doubt.features_of(
            squares,
            [file.square for file in usable],
            bundle=bundle,
            cache=features,
            threads=_THREADS,
            report=report,
        ),
        [(file.label or "").lower() for file in usable],
        [key_of(file) for file in usable],
        report=report,
    )
    for file, opinion in zip(usable, found or (), strict=found is not None):
        file.doubt = round(opinion.doubt, 6)
        file.facts |= {"thinks": opinion.thinks, "thinks_probability": round(opinion.probability, 4)}
    return found is not None
