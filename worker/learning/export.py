"""In the child: a bundle in another format, compared with itself, as a zip among the blobs."""

from __future__ import annotations

import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from app.blobs import Blobs
from app.domain.sentence import sentence
from models.bundle import BundleRefused
from models.export_bundle import ExportRefused, export
from worker.learning.child import Refused, Report

_CHUNK = 2**20
_LARGEST = 2**30
_STAGES = {
    "Converting": sentence("Converting"),
    "Comparing": sentence("Comparing with the bundle"),
}


def run(
    order: dict[str, Any],
    *,
    report: Report,
    tell: Callable[..., None],  # noqa: ARG001 - it has nothing to tell
) -> dict[str, Any]:
    """The answer names the zip among the blobs, and has how far the export agreed. Raises Refused."""
    folder = Path(order["folder"]) / order["format"]
    shutil.rmtree(folder, ignore_errors=True)  # of an attempt before
    try:
        told = export(
            Path(order["bundle"]),
            folder,
            kind=order["format"],
            report=lambda stage, done, of: report(_STAGES[stage], done, of),
        )
    except (ExportRefused, BundleRefused) as error:
        raise Refused(str(error)) from error
    zipped = folder.with_suffix(".zip")
    with zipfile.ZipFile(zipped, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(path for path in folder.rglob("*") if path.is_file()):
            archive.write(path, path.relative_to(folder.parent))
    with Blobs(Path(order["blobs"])).stage(max_bytes=_LARGEST) as staged, zipped.open("rb") as made:
        while chunk := made.read(_CHUNK):
            staged.write(chunk)
        sha256 = Blobs(Path(order["blobs"])).keep(staged)
    return {"sha256": sha256, "byte_size": zipped.stat().st_size, "agreement": told["agreement"]}
