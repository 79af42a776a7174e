"""`firstread compare`: a candidate against the active bundle on the same images, and the gate's word."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from app.errors import Unprocessable

MAY_NOT = 1
"""Exit code where a line of the gate does not pass."""


def compare(
    candidate: Annotated[Path, typer.Argument(help="The bundle that might be promoted.")],
    data: Annotated[
        Path, typer.Argument(help="A folder per class (maybe below train, val, test), or a manifest CSV.")
    ],
    out: Annotated[Path, typer.Option(help="Folder for comparison.json, .png and .html.")],
    active: Annotated[
        Path | None, typer.Option(help="The bundle to compare with; the default one if left out.")
    ] = None,
    split: Annotated[str | None, typer.Option(help="Only this split: train, val or test.")] = None,
    exclude_patients: Annotated[
        list[Path] | None, typer.Option(help="Manifest CSV whose patients are left out; repeatable.")
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
) -> None:
    """Compare a candidate with the active bundle on images of patients from whom neither has learnt, and tell
    whether it may be promoted: exit code 0 if every line of the gate passes, else 1.
    """
    from app.cli.html_report import write_comparison
    from app.cli.labelled_images import facts_of_dicom, image_reader, patient_of_dicom, progress
    from app.dicom.stated_facts import parsed_facts
    from models.bundle import Bundle, BundleRefused, default_bundle_path
    from models.compare import compare as run
    from models.dataset import load
    from models.detail import facts_of, stated_of
    from models.examples import DatasetRefused, excluded_patients, list_examples
    from models.pair import NAMES
    from models.plots import draw_comparison
    from models.promotion_gate import may_be_promoted, promotion_gate
    from models.start import calibrated_counts, strangers_to
    from worker.learning.evaluate import with_pictures, without_nan

    paths = (active or default_bundle_path(), candidate)
    try:
        bundles = [Bundle.load(path, device=device) for path in paths]
        examples, notices = list_examples(data, patient_of=patient_of_dicom)
        examples = [example for example in examples if split in (None, example.split)]
        with progress() as report, image_reader() as read_image:
            done = 0

            def on_image() -> None:
                nonlocal done
                done += 1
                report("Reading images", done, len(examples))

            labelled = load(
                examples,
                side=max(bundle.manifest.input_size for bundle in bundles),
                read_image=read_image,
                exclude=excluded_patients(exclude_patients or ()),
                notices=notices,
                on_image=on_image,
            )
            strangers = strangers_to(paths, labelled)
            judged = labelled.take(strangers)
            of_manifest = stated_of(data, judged.paths)
            facts = [
                parsed_facts(stated) | facts_of_dicom(Path(path))
                for path, stated in zip(judged.paths, of_manifest, strict=True)
            ]
            outcome = run(
                bundles[0],
                bundles[1],
                judged,
                facts=facts_of(facts),
                report=report,
            )
            out.mkdir(parents=True, exist_ok=True)
            with_pictures(outcome, judged, bundles[1], read=read_image, folder=out)
    except (BundleRefused, DatasetRefused) as error:
        raise Unprocessable(str(error)) from error
    lines = promotion_gate(outcome)
    document, picture = out / "comparison.json", out / "comparison.png"
    told = outcome | {
        "learnt_from_left_out": int((~strangers).sum()),
        "calibrated_on": dict(zip(NAMES, calibrated_counts(paths, labelled, strangers), strict=True)),
        "gate": [asdict(line) for line in lines],
        "may_be_promoted": may_be_promoted(lines),
    }
    told = without_nan(told)
    page = write_comparison(told, out / "comparison.html")
    document.write_text(json.dumps(told, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    draw_comparison(outcome, picture)
    _tell(told)
    print(f"Wrote {document}, {picture}, {page}.")
    if not told["may_be_promoted"]:
        raise typer.Exit(MAY_NOT)


def _tell(told: dict[str, Any]) -> None:
    print(
        f"{told['finding']} in {told['images']} images of {told['patients']} patients; "
        f"{told['learnt_from_left_out']} images left out, of patients whom one of the two knows"
    )
    print(f"  {'':12s} {'active':>8s} {'candidate':>9s}  difference (95% interval)")
    for name, line in told["difference"].items():
        before, after = told["active"][name], told["candidate"][name]
        print(
            f"  {name:12s} {before:8.4f} {after:9.4f}  {line['value']:+.4f} "
            f"({line['low']:+.4f} to {line['high']:+.4f})"
        )
    for one in told["others"]:
        print(f"{one['finding']}: {one['patients_with']} patients with it, {one['patients_without']} without")
        for name, value in one.get("candidate", {}).items():
            if name != "even_odds":
                before = one["active"][name] if "active" in one else None
                print(f"  {name:12s} {'-' if before is None else f'{before:.4f}':>8s} {value:9.4f}")
    for name, count in told["calibrated_on"].items():
        if count is None:
            print(f"  The {name} bundle is of an older program and does not say on whom it was calibrated.")
        elif count:
            print(
                f"  The {name} bundle was calibrated on patients of {count} of these images, which flatters "
                "it; images of a test split (--split test) would not."
            )
    words = {True: "passes", False: "FAILS", None: "cannot be told"}
    for line in told["gate"]:
        print(f"  {words[line['passes']]:14s} {line['sentence']}")
    print(
        "The candidate may be promoted." if told["may_be_promoted"] else "The candidate may not be promoted."
    )
