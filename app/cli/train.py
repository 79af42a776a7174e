"""`firstread train`: a labelled folder or manifest in, a bundle out."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Annotated, Any

import typer

from app.errors import Unavailable, Unprocessable
from app.settings import settings

MODES = ("quick", "thorough")
_DURATION = re.compile(r"(\d+(?:\.\d+)?)|(?:(\d+)h)?(?:(\d+)m(?:in)?)?(?:(\d+)s)?")
GO_ON_LATER = 75
"""Exit code when the minutes are spent and the same command goes on (EX_TEMPFAIL of sysexits.h)."""


def train(
    data: Annotated[
        Path, typer.Argument(help="A folder per class (maybe below train, val, test), or a manifest CSV.")
    ],
    out: Annotated[Path, typer.Option(help="The bundle to write.")],
    mode: Annotated[str, typer.Option(help="quick: about a minute; thorough: about half an hour.")] = "quick",
    exclude_patients: Annotated[
        list[Path] | None, typer.Option(help="Manifest CSV whose patients are never trained on; repeatable.")
    ] = None,
    keep_test_patients_out: Annotated[
        bool,
        typer.Option(
            "--keep-test-patients-out",
            help="Where a patient is in the test split and outside it, leave out what is outside, and train.",
        ),
    ] = False,
    seed: Annotated[int, typer.Option(help="The same data and seed give the same network.")] = 7,
    epochs: Annotated[
        int | None, typer.Option(min=1, help="Of thorough training; 12, with --start 8.")
    ] = None,
    budget: Annotated[
        str | None,
        typer.Option(
            help="Time that thorough training may take, such as 30m or 1h30m: the best network by then is "
            "finished and written. A quarter is kept for calibrating and testing. With more time than "
            "--epochs need it ends after these."
        ),
    ] = None,
    minutes: Annotated[
        float | None, typer.Option(min=0, help="Pause after this long; the same command goes on.")
    ] = None,
    start: Annotated[
        Path | None,
        typer.Option(
            help="A bundle from which training goes on: quick with its features, gate and intended use, "
            "thorough from its weights. Without one, ImageNet's."
        ),
    ] = None,
    keep_head: Annotated[
        bool,
        typer.Option(
            "--keep-head", help="Thorough training begins with the head of --start, not with a quick one."
        ),
    ] = False,
    features: Annotated[
        Path | None,
        typer.Option(
            help="Folder where quick training keeps features for the next time; `features` in FIRSTREAD_HOME."
        ),
    ] = None,
    threads: Annotated[int, typer.Option(min=1, help="Processor threads to use.")] = 2,
    name: Annotated[
        str | None, typer.Option(help="The bundle's name; that of --start, or paediatric-pneumonia.")
    ] = None,
    version: Annotated[str, typer.Option(help="The bundle's version.")] = "1",
    data_statement: Annotated[
        str, typer.Option(help="Where the data come from and their licence, for the model card.")
    ] = "",
    intended_use: Annotated[
        Path | None,
        typer.Option(
            help="JSON: min_age_years, max_age_years, modalities, body_parts, views; that of --start. With "
            "another than the active bundle's no gate lets it pass."
        ),
    ] = None,
) -> None:
    """Train a network on labelled radiographs and write it as a bundle, with its log beside it."""
    if mode not in MODES:
        raise Unprocessable(f"There is no mode {mode!r}; choose from {', '.join(MODES)}.")
    from dataclasses import replace

    from app.cli.before_training import told_before
    from app.cli.labelled_images import image_reader, patient_of_dicom, progress
    from models.bundle import BundleRefused
    from models.explain_figures import verdicts
    from models.finetune import GOING_ON, FinetuneSettings
    from models.plots import draw_training
    from models.start import Start
    from models.train import PAEDIATRIC_USE, BrokeOff, DatasetRefused, Paused, TrainingOrder
    from models.train import train as run

    finetune = FinetuneSettings() if start is None else GOING_ON
    finetune = replace(finetune, minutes=minutes, budget=_minutes(budget), epochs=epochs or finetune.epochs)
    before = None
    if start is not None:
        try:
            before = Start.read(start).manifest
        except BundleRefused as error:
            raise Unprocessable(str(error)) from error
    use = dict(PAEDIATRIC_USE) if before is None else dict(before.intended_use)
    order = TrainingOrder(
        data=data,
        out=out,
        mode="quick" if mode == "quick" else "thorough",
        exclude=tuple(exclude_patients or ()),
        seed=seed,
        threads=threads,
        name=name or (before.name if before else "paediatric-pneumonia"),
        version=version,
        data_statement=data_statement,
        intended_use=_intended_use(intended_use) if intended_use else use,
        finetune=finetune,
        start=start,
        warm_head=not keep_head,
        features=features or settings().home / "features",
    )
    told: dict[str, dict[str, Any]] = {}
    patient_of = cache(patient_of_dicom)  # the files are listed twice, their headers are read once
    try:
        for line in told_before(
            data,
            exclude=order.exclude,
            keep_test_patients_out=keep_test_patients_out,
            patient_of=patient_of,
        ):
            print(line)
        with progress() as report, image_reader() as read_image:
            manifest = run(
                order, read_image=read_image, patient_of=patient_of, report=report, tell=_tell(told)
            )
    except (BundleRefused, DatasetRefused) as error:
        raise Unprocessable(str(error)) from error
    except Paused as pause:
        print(pause)
        raise typer.Exit(GO_ON_LATER) from pause
    except BrokeOff as broken:
        said = out.with_name(out.name + ".training") / "together.log"
        raise Unavailable(f"{broken} Run the same command again; what they said is in {said}.") from broken
    log = out.with_name(out.name + ".training") / "log.jsonl"
    draw_training(log, log.with_name("curves.png"))
    first = manifest.findings[0].name
    for kind, figures in manifest.provenance["held_out"][first].items():
        print(f"{first}, {kind}: " + ", ".join(f"{key} {value:.3f}" for key, value in figures.items()))
    if "learning curve" in told:
        print(told["learning curve"]["says"])
    for sentence in verdicts(manifest.explanations):
        print(sentence)
    print(f"Wrote {out} ({out.stat().st_size / 1e6:.1f} MB); the log is in {log.parent}.")


def _tell(told: dict[str, dict[str, Any]]) -> Callable[..., None]:
    """Keeps the last event of each kind that training tells, and prints what a person should see at once:
    what of the data is left out, before anything is learnt from the rest, and each epoch.
    """

    def tell(**event: Any) -> None:
        told[str(event["event"])] = event
        if event["event"] == "data":
            for notice in event["notices"]:
                print(notice)
        elif event["event"] == "epoch":
            print(_epoch(event))

    return tell


def _epoch(event: dict[str, Any]) -> str:
    aucs = ", ".join(f"{name} {value:.4f}" for name, value in event["select_auc"].items())
    return (
        f"Epoch {event['epoch']} of {event['of']}, minute {event['minutes']:.1f}: "
        f"loss {event['loss']:.4f}; AUC of those to choose by: {aucs}"
    )


def _minutes(said: str | None) -> float | None:
    """`30m`, `1h30m`, `90s` or a number of minutes; raises Unprocessable for anything else, and for nothing
    at all.
    """
    if said is None:
        return None
    found = _DURATION.fullmatch(said.strip().lower())
    if found is None or not any(found.groups()):
        raise Unprocessable(f"The time budget {said!r} is none; write it as 30m, 1h30m or 90s.")
    plain, hours, minutes, seconds = (float(part or 0) for part in found.groups())
    budget = plain + 60 * hours + minutes + seconds / 60
    if budget <= 0:
        raise Unprocessable(f"The time budget {said!r} is none; write it as 30m, 1h30m or 90s.")
    return budget


def _intended_use(path: Path) -> dict[str, Any]:
    """The intended use in the file; refused where no bundle with it could be used."""
    from models.manifest import INTENDED_USE, no_intended_use

    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise Unprocessable(f"The intended use {path} cannot be read: {error}") from error
    said_wrong = no_intended_use(document)
    if said_wrong is not None:
        raise Unprocessable(f"{path.name} cannot be used. {said_wrong}")
    return {part: document[part] for part in INTENDED_USE}
