"""What goes with an exported graph: what the picture must look like and what the numbers mean, for a program
(export.json) and for a person (README.md).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from models.export_formats import CLASS, NOT_A_DEVICE, PROBABILITIES, class_labels
from models.export_graph import INPUT
from models.manifest import Manifest
from models.pixel_gate import INVERTED, MIRRORED
from models.preprocess import FIELD, LEVELS, SMOOTHING

EXPORT_VERSION = 1
_BEFORE = (
    "Decode the image; of DICOM apply the modality LUT and the VOI LUT or window (PS3.4 N.2).",
    "Grey, one channel, bone bright (MONOCHROME2); MONOCHROME1 is inverted first.",
    "The whole image at its full size, upright, not cropped, not resized, no normalisation of any kind.",
    "Withhold what is outside the intended use (age, modality, body part, view): the graph cannot know it.",
)
_MEANING = {
    "probability": "calibrated probability of each finding, 0 to 1",
    "logit": "the sum over the finding's activation map plus its bias, before calibration",
    "lane": "1 rule-in, 0 abstain, -1 rule-out, by the thresholds below; findings for research are always 0",
    "activation_map": "what each part of the whole picture adds to the logit, rows from the top",
    "gate": "in the order of `gates`: above 0 where the bundle is certain of it",
}
_LOADING = {
    "onnx": 'import onnxruntime\nsession = onnxruntime.InferenceSession("network.onnx")\n'
    'probability, logit, lane, activation_map, *gate = session.run(None, {"image": grey[None, None]})',
    "openvino": 'import openvino\nmodel = openvino.compile_model("network.xml", "CPU")\n'
    'probability = model(grey[None, None])["probability"]',
    "torch": 'import torch\nmodel = torch.export.load("network.pt2").module()\n'
    "probability, logit, lane, activation_map, *gate = model(torch.from_numpy(grey)[None, None])",
    "coreml": "let model = try network(configuration: MLModelConfiguration())\n"
    "let said = try model.prediction(image: greyPixelBuffer)  // kCVPixelFormatType_OneComponent8, any size",
}


def document(
    manifest: Manifest,
    *,
    kind: str,
    graph: str,
    outputs: tuple[str, ...],
    gates: tuple[str, ...],
    agreement: Mapping[str, Any],
) -> dict[str, Any]:
    """export.json."""
    cells = manifest.input_size // 32
    count = len(manifest.findings)
    shapes = {"activation_map": [count, cells, cells], "gate": [len(gates)]}
    return {
        "export_version": EXPORT_VERSION,
        "format": kind,
        "graph": graph,
        "bundle": {"name": manifest.name, "version": manifest.version, "sha256": manifest.sha256},
        "input": {
            "name": INPUT,
            "type": "grey image, 8 bits" if kind == "coreml" else "float32",
            "shape": [1, 1, "rows", "columns"] if kind == "coreml" else ["n", 1, "rows", "columns"],
            "values": "grey levels as decoded, 0 to 255"
            if kind == "coreml"
            else "grey levels as decoded: 0 to 255, 0 to 65535 or any other range; "
            "a factor or an offset on all of them changes nothing",
            "polarity": "MONOCHROME2",
            "smallest_side": 64,
        },
        "preprocessing": {
            "version": manifest.preprocessing_version,
            "before_the_graph": list(_BEFORE),
            "in_the_graph": [
                {"step": "squash", "side": manifest.input_size, "filter": "triangle, antialiased",
                 "aspect": "not kept"},
                {"step": "smooth", "filter": "Gaussian", "border": "reflect 101",
                 "sigma_pixels": SMOOTHING * manifest.input_size},
                {"step": "equalise", "levels": LEVELS, "field_left_out_each_side": FIELD, "range": [-1, 1]},
            ],
        },
        "outputs": [
            {"name": name, "shape": ["n", *shapes.get(name, [count])], "meaning": _MEANING[name]}
            for name in outputs
        ],
        "classes": _classes(manifest) if kind == "coreml" else None,
        "gates": list(gates),
        "findings": [
            asdict(finding)
            | {
                "calibration": asdict(manifest.calibration[finding.name]),
                "thresholds": asdict(manifest.thresholds[finding.name]),
            }
            for finding in manifest.findings
        ],
        "intended_use": dict(manifest.intended_use),
        "data": manifest.provenance.get("data"),
        "notice": NOT_A_DEVICE,
        "agreement": dict(agreement),
    }  # fmt: skip


def _classes(manifest: Manifest) -> dict[str, Any] | None:
    labels = class_labels(manifest)
    return None if labels is None else {"labels": list(labels), "label": CLASS, "output": PROBABILITIES}


def as_text(told: Mapping[str, Any]) -> str:
    """A JSON document as it is written."""
    return json.dumps(told, indent=1, allow_nan=False) + "\n"


def readme(told: Mapping[str, Any]) -> str:
    """README.md of an export, from its export.json."""
    use, given = told["intended_use"], told["input"]
    lines = [
        f"# {told['bundle']['name']} {told['bundle']['version']}, exported as {told['format']}",
        "",
        f"**{told['notice']}**",
        "",
        f"From the bundle {told['bundle']['sha256']}. `export.json` says the same, for programs.",
        "",
        "## What it is for",
        "",
        f"Radiographs of the {_listed(use['body_parts']).lower()} ({_listed(use['views'])}; "
        f"{_listed(use['modalities'])}) of patients from {use['min_age_years']:g} to under "
        f"{use['max_age_years']:g} years. It learnt from: {told['data'] or 'see the bundle'}",
        "",
        "## What to give it",
        "",
        f"`{given['name']}`: {given['type']}, {given['shape']}, {given['values']}.",
        "",
        *(f"* {line}" for line in told["preprocessing"]["before_the_graph"]),
        "",
        "The graph itself does the rest: "
        + "; ".join(_step(step) for step in told["preprocessing"]["in_the_graph"])
        + ". Do not do any of it before.",
        "",
        "## What it says",
        "",
        *(f"* `{output['name']}` {output['shape']}: {output['meaning']}" for output in told["outputs"]),
        *_class_lines(told),
        "",
        *_gate_lines(told["gates"]),
        "| finding | use | present from | rule-in from | rule-out below | slope | intercept |",
        "|---|---|---|---|---|---|---|",
        *(_finding_line(finding) for finding in told["findings"]),
        "",
        "## How it is asked",
        "",
        "```",
        _LOADING[told["format"]],
        "```",
        "",
        "## Whether it says what the bundle says",
        "",
        _agreement(told["agreement"]),
        "",
    ]
    return "\n".join(lines)


def _listed(words: Sequence[object]) -> str:
    return ", ".join(str(word) for word in words)


def _step(step: Mapping[str, Any]) -> str:
    match step["step"]:
        case "squash":
            size = f"{step['side']} x {step['side']} pixels"
            return f"squash to {size} ({step['filter']}, aspect {step['aspect']})"
        case "smooth":
            return f"smooth (Gaussian, sigma {step['sigma_pixels']:.3f} pixels)"
        case _:
            return f"replace grey levels by their rank among {step['levels']}, -1 to 1"


def _class_lines(told: Mapping[str, Any]) -> list[str]:
    classes = told["classes"]
    if classes is None:
        return []
    labels = " and ".join(classes["labels"])
    return [f"* `{classes['label']}` and `{classes['output']}`: the classifier's labels, {labels}"]


def _gate_lines(gates: list[str]) -> list[str]:
    if not gates:
        return ["The bundle carries no gate: whatever picture comes is read.", ""]
    return [
        f"Gates, in order: {_listed(gates)}. Where one is above 0, do not use the reading, but for two: "
        f"{INVERTED} (turn the grey levels round and ask again) and {MIRRORED} (the heart is on the right: "
        "tell the reader). Blank pictures, noise and text are for whoever calls to keep out.",
        "",
    ]


def _finding_line(finding: Mapping[str, Any]) -> str:
    cuts, fit = finding["thresholds"], finding["calibration"]
    shown = [
        "none" if cuts[name] is None else f"{cuts[name]:g}"
        for name in ("operating_point", "rule_in", "rule_out")
    ]
    use = "research" if finding["research"] else "ranks"
    return (
        f"| {finding['name']} | {use} | {' | '.join(shown)} | {fit['slope']:.4f} | {fit['intercept']:.4f} |"
    )


def _agreement(agreement: Mapping[str, Any]) -> str:
    if "not_run" in agreement:
        return str(agreement["not_run"])
    differences = ", ".join(
        f"{name} {value:.5f} ({agreement['tolerance'][name]:g} is allowed)"
        for name, value in agreement["largest_difference"].items()
    )
    return (
        f"Compared on {agreement['pictures']} pictures, {agreement['phantoms']} of them drawn, with "
        f"{agreement['compared_with']}. Largest differences: {differences}. Lanes that differ: "
        f"{agreement['lanes_that_differ']} (a probability within the tolerance of a threshold). Pictures of "
        "8 bits the bundle rounds once it has averaged them in boxes, and the graph does not: that moved a "
        f"probability by at most {agreement['largest_by_rounding']:.4f}."
    )
