"""In the child: a candidate beside the active bundle on a locked test, and the gate's word."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from app.dicom.decoder_pool import DecoderPool
from app.dicom.header import read_header
from app.domain.explanation import tested_finding, why_map_withheld
from app.domain.sentence import sentence
from app.errors import Problem
from models.bundle import Bundle, BundleRefused
from models.compare import compare
from models.dataset import Labelled, load, read_picture
from models.detail import facts_of
from models.examples import DatasetRefused, Example
from models.pair import NAMES
from models.promotion_gate import may_be_promoted, promotion_gate
from models.start import calibrated_counts, strangers_to
from worker.learning.child import Refused, Report

Grey = NDArray[np.uint8] | NDArray[np.uint16]
_PICTURE_SIDE = 360
_THREADS = 2


def run(
    order: dict[str, Any],
    *,
    report: Report,
    tell: Callable[..., None],  # noqa: ARG001 - nothing is told before the verdict
) -> dict[str, Any]:
    """The answer holds `outcome` (`models.compare.compare` and what it is of), `gate`, `may_be_promoted`.

    Patients from whom either bundle has learnt are left out, and counted. Raises Refused with a sentence
    where the two cannot be compared on these images.
    """
    paths = (Path(order["active"]), Path(order["candidate"]))
    rows = order["rows"]
    if not rows:
        raise Refused(sentence("The snapshot's locked test is empty."))
    with DecoderPool(
        processes=1, seconds=order["decoder_seconds"], memory_bytes=order["decoder_memory"]
    ) as pool:
        types = {row["file"]: row["media_type"] for row in rows}

        def read(path: Path) -> Grey:
            return _read(path, types[str(path)], pool)

        try:
            active, candidate = (Bundle.load(path, threads=_THREADS) for path in paths)
            side = max(active.manifest.input_size, candidate.manifest.input_size)
            labelled, outcome = _compared(active, candidate, rows, paths, side=side, read=read, report=report)
        except (BundleRefused, DatasetRefused) as error:
            raise Refused(str(error)) from error
        outcome |= {
            "labels": {
                "may_judge": sum(order["may_judge"]),
                "others": len(order["may_judge"]) - sum(order["may_judge"]),
            },
            "locked_test": {"use": order["use"], "limit": order["limit"]},
        }
        with_pictures(outcome, labelled, candidate, read=read, folder=Path(order["folder"]))
    lines = promotion_gate(outcome)
    return {
        "active_sha256": order["active_sha256"],
        "outcome": without_nan(outcome),
        "gate": [asdict(line) for line in lines],
        "may_be_promoted": may_be_promoted(lines),
    }


def _compared(
    active: Bundle,
    candidate: Bundle,
    rows: list[dict[str, str]],
    paths: tuple[Path, Path],
    *,
    side: int,
    read: Callable[[Path], Grey],
    report: Report,
) -> tuple[Labelled, dict[str, Any]]:
    examples = [
        Example(Path(row["file"]), row["label"], row["subtype"], row["patient_key"], "test") for row in rows
    ]
    done = 0

    def on_image() -> None:
        nonlocal done
        done += 1
        report(sentence("Reading images"), done, len(examples))

    labelled = load(examples, side=side, read_image=read, on_image=on_image)
    strangers = strangers_to(paths, labelled)
    if not strangers.any():
        raise Refused(
            sentence(
                "One of the two bundles has learnt from every patient of the locked test; nobody is left."
            )
        )
    kept = labelled.take(strangers)
    of_file = {row["file"]: row for row in rows}
    facts = facts_of([of_file[path] for path in kept.paths])
    outcome = compare(active, candidate, kept, facts=facts, report=report)
    return kept, outcome | {
        "notices": list(labelled.notices),
        "runtime": candidate.runtime,
        "learnt_from_left_out": int((~strangers).sum()),
        "calibrated_on": dict(zip(NAMES, calibrated_counts(paths, labelled, strangers), strict=True)),
    }


def _read(path: Path, media_type: str, pool: DecoderPool) -> Grey:
    """Any stored image as a grey picture, bone bright; blobs have no endings, so the type is asked for."""
    try:
        media_type = media_type or read_header(path).media_type
        if media_type != "application/dicom":
            return read_picture(path)
        return pool.presentation(path, media_type, preview_side=0).result().grey
    except Problem as problem:
        raise ValueError(problem.detail) from problem


def with_pictures(
    outcome: dict[str, Any],
    labelled: Labelled,
    candidate: Bundle,
    *,
    read: Callable[[Path], Grey],
    folder: Path,
) -> None:
    """Each mistake has its picture in the folder, and its map where the candidate's may be shown."""
    explanations = candidate.manifest.explanations
    withheld = why_map_withheld(explanations)
    outcome["map_withheld"] = withheld
    for number, mistake in enumerate(outcome["detail"]["mistakes"]):
        path = Path(labelled.paths[mistake.pop("at")])
        grey = read(path)
        picture = folder / f"mistake-{number}.jpg"
        picture.write_bytes(_small(grey))
        mistake |= {"sha256": path.name, "file": str(picture)}
        if withheld is None and tested_finding(explanations) == outcome["finding"]:
            [said] = candidate.screen([grey])
            if said.outcome == "screened":
                rows = said.findings[outcome["finding"]].activation_map
                mistake["activation_map"] = [[round(value, 4) for value in row] for row in rows]


def _small(grey: Grey) -> bytes:
    levels = grey if grey.dtype == np.uint8 else (grey * (255 / max(int(grey.max()), 1))).astype(np.uint8)
    scale = min(_PICTURE_SIDE / max(levels.shape), 1.0)
    size = (max(1, round(levels.shape[1] * scale)), max(1, round(levels.shape[0] * scale)))
    done, encoded = cv2.imencode(
        ".jpg", cv2.resize(levels, size, interpolation=cv2.INTER_AREA), [cv2.IMWRITE_JPEG_QUALITY, 82]
    )
    assert done
    return encoded.tobytes()


def without_nan(value: Any) -> Any:
    """JSON knows no NaN: None in its place."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {key: without_nan(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [without_nan(one) for one in value]
    return value
