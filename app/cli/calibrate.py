"""`firstread calibrate`: a bundle's probabilities and cuts made anew, its network as it is."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from app.errors import Unprocessable


def calibrate(
    bundle: Annotated[Path, typer.Argument(help="The bundle.")],
    data: Annotated[Path, typer.Argument(help="The folder or manifest CSV that it was trained on.")],
    out: Annotated[Path, typer.Option(help="The bundle to write.")],
    version: Annotated[str, typer.Option(help="The version of the bundle to write.")],
    exclude_patients: Annotated[
        list[Path] | None, typer.Option(help="Manifest CSV whose patients were left out; repeatable.")
    ] = None,
    threads: Annotated[int, typer.Option(min=1, help="Processor threads to use.")] = 2,
) -> None:
    """Count a bundle's bounds anew, on the patients it was calibrated on and in every precision of this
    processor. A bundle is served only in precisions in which its bounds were counted.
    """
    from app.cli.labelled_images import image_reader, patient_of_dicom, progress
    from models.bundle import BundleRefused
    from models.dataset import load
    from models.examples import DatasetRefused, excluded_patients, list_examples
    from models.recalibrate import recalibrate
    from models.start import Start

    try:
        start = Start.read(bundle)
        examples, notices = list_examples(data, patient_of=patient_of_dicom)
        with progress() as report, image_reader() as read_image:
            done = 0

            def on_image() -> None:
                nonlocal done
                done += 1
                report("Reading images", done, len(examples))

            labelled = load(
                examples,
                side=start.manifest.input_size,
                read_image=read_image,
                exclude=excluded_patients(exclude_patients or ()),
                notices=notices,
                on_image=on_image,
            )
            made = recalibrate(start, labelled, out, version=version, threads=threads, report=report)
    except (BundleRefused, DatasetRefused) as error:
        raise Unprocessable(str(error)) from error
    for finding, cuts in made.thresholds.items():
        print(
            f"{finding}: called present from {cuts.operating_point:g}; ruled in from {_said(cuts.rule_in)}, "
            f"ruled out below {_said(cuts.rule_out)}; counted in {' and '.join(cuts.precisions)}."
        )
    print(f"Wrote {out} ({out.stat().st_size / 1e6:.1f} MB).")


def _said(cut: float | None) -> str:
    return "no cut" if cut is None else f"{cut:g}"
