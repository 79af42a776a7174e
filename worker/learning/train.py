"""In the child: a training on those rows of a snapshot that are to be learnt from, and its candidate."""

from __future__ import annotations

import hashlib
import json
import math
import os
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from app.domain.sentence import sentence
from models.core_for_others import CoreForOthers
from models.examples import DatasetRefused, list_examples
from models.explain_figures import verdicts
from models.finetune import GOING_ON, FinetuneSettings
from models.manifest import BundleRefused, Manifest, to_json
from models.together import BrokeOff as OneOfSeveralEnded
from models.train import PAEDIATRIC_USE, TrainingOrder, train
from worker.learning.child import BrokeOff, Refused, Report
from worker.learning.labelled_images import image_reader

_MOST_THREADS = 8
_LEAST_PER_EPOCH = 128
_SHOWN_AN_EPOCH = 4
"""Of few images an epoch shows each so often at most: longer ones would end late in the budget."""


def run(order: dict[str, Any], *, report: Report, tell: Callable[..., None]) -> dict[str, Any]:
    """The answer names the candidate's file, and holds its manifest and the run's figures.

    Raises Refused with a sentence for data that cannot be used, and BrokeOff where one of several processes
    ended: another attempt goes on from the checkpoint.
    """
    started = time.monotonic()
    told: dict[str, dict[str, Any]] = {}

    def remember(**event: Any) -> None:
        clean = without_nan(event)
        told[clean["event"]] = clean
        if clean["event"] != "bundle":
            tell(**clean)

    try:
        ordered = _ordered(order)
        with image_reader(
            seconds=order["decoder_seconds"], memory_bytes=order["decoder_memory"]
        ) as read_image:
            beside = CoreForOthers(ordered.threads).settled_before(report)
            manifest = train(ordered, read_image=read_image, report=beside, tell=remember)
    except (DatasetRefused, BundleRefused) as error:
        raise Refused(str(error)) from error
    except OneOfSeveralEnded as error:
        raise BrokeOff(str(error)) from error
    content = ordered.out.read_bytes()
    return {
        "bundle": str(ordered.out),
        "sha256": hashlib.sha256(content).hexdigest(),
        "manifest": json.loads(to_json(manifest)),
        "figures": _figures(manifest, told, seconds=time.monotonic() - started),
    }


def without_nan(value: Any) -> Any:
    """The same with null for what is no number, which JSON in a database may not hold; keys are texts."""
    if isinstance(value, dict):
        return {str(key): without_nan(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [without_nan(part) for part in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _ordered(order: dict[str, Any]) -> TrainingOrder:
    manifest = Path(order["manifest"])
    examples, _ = list_examples(manifest)
    if not examples:
        raise Refused(sentence("The snapshot holds nothing to learn from."))
    from_bundle = order["start"] is not None
    settings = GOING_ON if from_bundle else FinetuneSettings()
    shown = max(_LEAST_PER_EPOCH, min(settings.per_epoch, _SHOWN_AN_EPOCH * len(examples)))
    return TrainingOrder(
        data=manifest,
        out=Path(order["out"]),
        mode=order["mode"],
        seed=int(order["seed"]),
        threads=min(len(os.sched_getaffinity(0)), _MOST_THREADS),
        name=order["name"],
        version=order["version"],
        intended_use=dict(order["intended_use"] or PAEDIATRIC_USE),
        data_statement=order["data_statement"],
        finetune=replace(
            settings, budget=order["budget_minutes"], per_epoch=shown // settings.batch * settings.batch
        ),
        start=Path(order["start"]) if from_bundle else None,
        features=Path(order["features"]),
    )


def _figures(manifest: Manifest, told: dict[str, dict[str, Any]], *, seconds: float) -> dict[str, Any]:
    """What the run's page shows once the job's own telling is no longer needed."""
    data, provenance = told.get("data", {}), manifest.provenance
    return {
        "finding": manifest.findings[0].name,
        "images": data.get("images"),
        "parts": data.get("parts", provenance["images"]),
        "notices": list(provenance["notices"]),
        "seconds": round(seconds, 1),
        "images_per_second": round(data["images"] / seconds, 1) if data.get("images") else None,
        "learning_curve": told.get("learning curve"),
        "held_out": without_nan(provenance["held_out"]),
        "maps": verdicts(manifest.explanations),
    }
