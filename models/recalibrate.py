"""A bundle's calibration and cuts made anew, from the patients it was calibrated on, for the same network."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from models.bundle_file import MANIFEST, seal
from models.dataset import Labelled
from models.examples import DatasetRefused
from models.judge import Report, calibrated_parts
from models.manifest import Manifest, to_json
from models.runtime import in_all_precisions
from models.start import Start


def recalibrate(
    start: Start, data: Labelled, out: Path, *, version: str, threads: int, report: Report = lambda *_: None
) -> Manifest:
    """A bundle in the file with the network of ``start``, and the calibration and cuts that this version
    gives it on this processor, in each of its precisions.

    Raises `DatasetRefused` where these are not the data that the bundle was trained on.
    """
    held_out = start.held_out(data)
    if held_out is None:
        raise DatasetRefused(
            f"{start.name} was trained on other data, or other patients of it; give the same, with the same "
            "patients left out."
        )
    before = start.manifest
    calibration, cuts, figures = calibrated_parts(
        in_all_precisions(start.members, threads=threads),
        [finding.bias for finding in before.findings],
        held_out,
        seed=int(before.provenance["seed"]),
        report=report,
    )
    provenance = dict(before.provenance) | {"held_out": figures, "calibrated_anew": start.name}
    manifest = replace(
        before, version=version, calibration=calibration, thresholds=cuts, provenance=provenance
    )
    seal(out, dict(start.members) | {MANIFEST: to_json(manifest)})
    return manifest
