"""`firstread export`: a bundle as ONNX, OpenVINO IR, a torch program or Core ML."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from app.errors import Unprocessable

_NONE_READABLE = "None of the pictures named can be read, so nothing could be compared on them."


def export(
    bundle: Annotated[Path, typer.Argument(help="The bundle.")],
    out: Annotated[Path, typer.Option(help="Folder to make; with all, a folder for each format in it.")],
    kind: Annotated[
        Literal["onnx", "openvino", "torch", "coreml", "all"], typer.Option("--format", help="What to make.")
    ] = "all",
    pictures: Annotated[
        list[Path] | None,
        typer.Option("--compare-on", help="Also compare on these files and folders; repeatable."),
    ] = None,
) -> None:
    """Export a bundle for use elsewhere: the network with its preprocessing, calibration and thresholds in
    one graph, checked on 100 drawn chests (and on your own images) to say what the bundle says.
    """
    from app.cli.labelled_images import progress
    from models.bundle import BundleRefused
    from models.export_bundle import FORMATS, ExportRefused
    from models.export_bundle import export as run

    grey = _grey(pictures or [])
    try:
        for each in FORMATS if kind == "all" else (kind,):
            folder = out / each if kind == "all" else out
            with progress() as report:
                told = run(bundle, folder, kind=each, pictures=grey, report=report)
            print(f"{folder}: {told['graph']}, {_said(told['agreement'])}")
    except (BundleRefused, ExportRefused) as error:
        raise Unprocessable(str(error)) from error


def _grey(paths: list[Path]) -> list[Any]:
    """The pictures in 8 bits, because Core ML takes no more: of each both sides are asked the same. What
    cannot be read is named.
    """
    import numpy as np

    from app.cli.file_list import files_of
    from app.cli.labelled_images import image_reader

    found = []
    with image_reader() as read:
        for path in files_of(paths):
            try:
                picture = read(path)
            except (OSError, ValueError) as error:
                print(f"{path} is not compared: {error}", file=sys.stderr)
                continue
            if picture.dtype != "uint8":
                above = picture.astype(np.float32) - picture.min()
                picture = np.round(255 * above / max(above.max(), 1)).astype(np.uint8)
            found.append(picture)
    if paths and not found:
        raise Unprocessable(_NONE_READABLE)
    return found


def _said(agreement: dict[str, Any]) -> str:
    if "not_run" in agreement:
        return str(agreement["not_run"])
    largest, tolerance = agreement["largest_difference"], agreement["tolerance"]
    differences = ", ".join(f"{name} {value:.5f} of {tolerance[name]:g}" for name, value in largest.items())
    return (
        f"compared on {agreement['pictures']} pictures; largest differences: {differences}; "
        f"by rounding of 8 bits: {agreement['largest_by_rounding']:.4f}."
    )
