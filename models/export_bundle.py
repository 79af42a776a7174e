"""A bundle leaves: its graph, what that takes and says in words, and the proof that it says what the bundle
says.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from models.bundle_file import read_bundle
from models.export_agreement import Picture, compared
from models.export_formats import FORMATS, ExportRefused, write
from models.export_graph import deployed
from models.export_words import as_text, document, readme
from models.sentence import sentence

__all__ = ["FORMATS", "ExportRefused", "export"]


def export(
    bundle: Path,
    out: Path,
    *,
    kind: str,
    pictures: Sequence[Picture] = (),
    report: Callable[[str, int, int], None] = lambda *_: None,
) -> dict[str, Any]:
    """The folder `out` holds the bundle in one of `FORMATS`; returns what its export.json says.

    It is compared with the bundle on drawn chests and on the pictures, uint8 (rows, columns). Nothing is left
    where it disagrees, cannot be made here, or something of that name is there: `ExportRefused`. Raises
    `BundleRefused` as `read_bundle` does.
    """
    if kind not in FORMATS:
        raise ExportRefused(
            sentence(f"There is no format {kind}; there are onnx, openvino, torch and coreml.")
        )
    if out.exists():
        raise ExportRefused(sentence(f"{out} is there already; name a folder that is not."))
    members, manifest = read_bundle(bundle)
    unfinished = out.with_name(f".{out.name}.{os.getpid()}")
    unfinished.mkdir(parents=True)
    try:
        report("Converting", 0, 1)
        graph = deployed(members, manifest)
        written = write(graph, manifest, unfinished, kind=kind)
        report("Converting", 1, 1)
        if written.ask is None:
            agreement: dict[str, Any] = {"not_run": written.unasked}
        else:
            agreement = compared(members, manifest, written.ask, pictures=pictures, report=report).as_json()
        told = document(
            manifest,
            kind=kind,
            graph=written.name,
            outputs=graph.outputs,
            gates=graph.gates,
            agreement=agreement,
        )
        names = [finding.name for finding in manifest.findings]
        for name, text in (
            ("export.json", as_text(told)),
            ("README.md", readme(told)),
            ("labels.txt", "\n".join(names) + "\n"),
        ):
            (unfinished / name).write_text(text, encoding="utf-8")
        unfinished.replace(out)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    return told
