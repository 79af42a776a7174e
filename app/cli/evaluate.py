"""`firstread evaluate`: what a bundle is worth on labelled radiographs, as JSON and a picture."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from app.errors import Unprocessable


def evaluate(
    data: Annotated[
        Path, typer.Argument(help="A folder per class (maybe below train, val, test), or a manifest CSV.")
    ],
    out: Annotated[Path, typer.Option(help="Folder for evaluation.json, .png and .html.")],
    bundle: Annotated[Path | None, typer.Option(help="The bundle; the default one if left out.")] = None,
    split: Annotated[str | None, typer.Option(help="Only this split: train, val or test.")] = None,
    held_out: Annotated[
        bool,
        typer.Option(help="Only patients from whom this bundle has not learnt, and of no test split."),
    ] = False,
    exclude_patients: Annotated[
        list[Path] | None, typer.Option(help="Manifest CSV whose patients are left out; as in training.")
    ] = None,
    stress: Annotated[
        bool, typer.Option(help="Also under every acquisition change, in three grades.")
    ] = False,
    explanations: Annotated[
        bool, typer.Option(help="Also test the class activation map; use with --held-out.")
    ] = False,
    gate: Annotated[
        bool,
        typer.Option(help="Also what the gate makes of the images turned, inverted, cut, and of strangers."),
    ] = False,
    styles: Annotated[
        bool,
        typer.Option(
            help="Also group DATA by how the pictures were taken, and leave each style out in turn."
        ),
    ] = False,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
) -> None:
    """Evaluate a bundle: AUC, accuracy, calibration, with patient-level intervals; --stress: other rooms;
    --explanations: whether its map may be shown; --styles: what a head learns that never saw a style.
    """
    from app.cli.further_tests import FurtherTests
    from app.cli.html_report import write_evaluation
    from app.cli.labelled_images import image_reader, patient_of_dicom, progress
    from models.bundle import Bundle, BundleRefused, default_bundle_path
    from models.dataset import load
    from models.evaluate import evaluate as run
    from models.evaluate import write_report
    from models.examples import DatasetRefused, excluded_patients, list_examples

    further = FurtherTests(explanations=explanations, styles=styles)
    try:
        loaded = Bundle.load(bundle or default_bundle_path(), device=device)
        examples, notices = list_examples(data, patient_of=patient_of_dicom)
        if split is not None:
            examples = [example for example in examples if example.split == split]
        with progress() as report, image_reader() as read_image:
            done = 0

            def on_image() -> None:
                nonlocal done
                done += 1
                report("Reading images", done, len(examples))

            labelled = load(
                examples,
                side=loaded.manifest.input_size,
                read_image=read_image,
                exclude=excluded_patients(exclude_patients or ()),
                notices=notices,
                on_image=on_image,
            )
            surroundings = None
            if stress:
                from models.style import surroundings_score

                report("Surroundings", 0, 1)
                surroundings = surroundings_score(
                    labelled.images, labelled.labels[:, 0], labelled.patients, seed=0, threads=2
                )
                report("Surroundings", 1, 1)
            everything, kept = labelled, None
            if held_out:
                from models.start import strangers_to

                kept = strangers_to([bundle or default_bundle_path()], labelled) & (labelled.splits != "test")
                labelled = labelled.take(kept)
                surroundings = None if surroundings is None else surroundings[kept]
            outcome = run(
                loaded, labelled, stress=stress, gate=gate, surroundings=surroundings, report=report
            )
            further.run(
                outcome,
                labelled,
                bundle=bundle or default_bundle_path(),
                device=device,
                everything=everything,
                kept=kept,
                report=report,
            )
    except (BundleRefused, DatasetRefused) as error:
        raise Unprocessable(str(error)) from error
    document, picture = write_report(outcome, out)
    _tell(outcome)
    page = write_evaluation(outcome, picture, out / "evaluation.html")
    written = [document, picture, page, *further.write(out)]
    print(f"Wrote {', '.join(str(path) for path in written)}.")


def _tell(outcome: dict[str, Any]) -> None:
    print(
        f"{outcome['finding']} in {outcome['images']} images of {outcome['patients']} patients, "
        f"{outcome['runtime']}"
    )
    _tell_figures(outcome)
    if outcome.get("conflict"):
        conflict = outcome["conflict"]
        print(
            f"  where the surroundings mislead       {conflict['auc']:.3f}  AUC {_within(conflict)} in "
            f"{conflict['images']} images (the surroundings alone: {conflict['surroundings_auc']:.3f} in all)"
        )
    if "gate" in outcome:
        for group in ("upright", "wrong", "drawn"):
            print(f"  {group:38s} withheld  inverted  mirrored")
            for name, rates in outcome["gate"][group].items():
                shares = "  ".join(f"{rates[key]:8.4f}" for key in ("withheld", "inverted", "mirrored"))
                print(f"    {name:36s} {shares}")
    print(f"  unlike the training images           {outcome['unlike']:.3f}  of the images")
    if "stress" in outcome:
        frame = outcome["worst_frame"]
        print(f"  every image in its worst frame       {frame['auc']:.3f}  AUC {_within(frame)}")
        _tell_stress(outcome["stress"])
    for one in outcome["others"]:
        print(one["finding"])
        _tell_figures(one)
        if "stress" in one:
            _tell_stress(one["stress"])
    for finding in outcome["untold"]:
        print(f"{finding}: among the images that were read none has it, or none has it not")


def _tell_figures(of: dict[str, Any]) -> None:
    for name, figure in of["plain"].items():
        if isinstance(figure, dict):
            print(f"  {name:32s} {figure['value']:.3f}  ({figure['low']:.3f} to {figure['high']:.3f})")


def _tell_stress(stress: dict[str, Any]) -> None:
    worst, sure, broken = stress["worst"], stress["intervals"], stress["broken_bounds"]
    print(
        f"  under change: mean AUC {stress['mean_auc']:.3f}{_of(sure, 'mean_auc')}, worst "
        f"{worst['auc']:.3f}{_of(sure, 'worst_auc')} ({worst['change']}, grade {worst['grade']})"
    )
    print(
        f"  under {len(stress['conditions'])} changes a lane's bound was passed: "
        f"missed under {', '.join(broken['missed']) or 'none'}; "
        f"falsely ruled in under {', '.join(broken['falsely_ruled_in']) or 'none'}"
    )


def _within(figures: dict[str, float]) -> str:
    return f"({figures['auc_low']:.3f} to {figures['auc_high']:.3f})"


def _of(intervals: dict[str, tuple[float, float]], name: str) -> str:
    return f" ({intervals[name][0]:.3f} to {intervals[name][1]:.3f})" if name in intervals else ""
