"""The four formats a bundle leaves in: how each is written, and how what was written is asked.

Importing this module imports torch and OpenVINO; ONNX and Core ML need the packages of the extra "export".
"""

from __future__ import annotations

import contextlib
import importlib
import io
import logging
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import openvino
import torch
from numpy.typing import NDArray

from models.export_graph import INPUT, Deployed
from models.manifest import Manifest
from models.preprocess import Float
from models.sentence import sentence

Answer = Mapping[str, NDArray[np.float32]]
Ask = Callable[[Float], Answer]
"""One picture's grey levels, float32 (rows, columns), to the graph's outputs by name, each of one image."""

FORMATS = ("onnx", "openvino", "torch", "coreml")
_OPSET = 20
_USUAL_SIDE = 1024
_SMALLEST_SIDE, _LARGEST_SIDE = 64, 8192
_SAMPLE = (2, 1, 300, 260)
CLASS, PROBABILITIES = "class", "class_probability"


class ExportRefused(Exception):
    """The bundle does not leave in this format; the message is a sentence."""


@dataclass(frozen=True)
class Written:
    """What was written: the file or folder that holds the graph, and how to ask it."""

    name: str
    ask: Ask | None
    unasked: str | None = None
    """A sentence why it cannot be asked here."""


def write(graph: Deployed, manifest: Manifest, folder: Path, *, kind: str) -> Written:
    """The graph in a format, in the folder. Raises `ExportRefused` where this machine or the bundle lacks
    what it takes.
    """
    with _quiet(), torch.inference_mode(False), torch.no_grad():
        return {"onnx": _onnx, "openvino": _openvino, "torch": _torch, "coreml": _coreml}[kind](
            graph, manifest, folder
        )


def _onnx(graph: Deployed, _: Manifest, folder: Path) -> Written:
    onnx, runtime = _package("onnx"), _package("onnxruntime")
    _package("onnxscript")
    path = folder / "network.onnx"
    free = torch.export.Dim.DYNAMIC
    torch.onnx.export(
        graph,
        (torch.rand(*_SAMPLE) * 255,),
        path,
        input_names=[INPUT],
        output_names=list(graph.outputs),
        opset_version=_OPSET,
        dynamic_shapes=({0: free, 2: free, 3: free},),
        dynamo=True,
        external_data=False,
        verbose=False,
    )
    onnx.checker.check_model(str(path), full_check=True)
    session = runtime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]

    def ask(picture: Float) -> Answer:
        said = session.run(names, {INPUT: picture[None, None]})
        return {name: np.asarray(values[0]) for name, values in zip(names, said, strict=True)}

    return Written(path.name, ask)


def _openvino(graph: Deployed, _: Manifest, folder: Path) -> Written:
    model = openvino.convert_model(_traced(graph), input=[(INPUT, [-1, 1, -1, -1])])
    model.inputs[0].get_tensor().set_names({INPUT})
    for output, name in zip(model.outputs, graph.outputs, strict=True):
        output.get_tensor().set_names({name})
    path = folder / "network.xml"
    # In full: the network's weights are exact in half the bytes, but no longer once layers are fused.
    openvino.save_model(model, path, compress_to_fp16=False)
    model = openvino.Core().compile_model(path, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})

    def ask(picture: Float) -> Answer:
        said = model(picture[None, None])
        return {name: np.array(said[name][0]) for name in graph.outputs}

    return Written(path.name, ask)


def _torch(graph: Deployed, _: Manifest, folder: Path) -> Written:
    path = folder / "network.pt2"
    free = torch.export.Dim.DYNAMIC
    program = torch.export.export(
        graph, (torch.rand(*_SAMPLE) * 255,), dynamic_shapes=({0: free, 2: free, 3: free},)
    )
    program.example_inputs = None  # the one part that would be pickled
    torch.export.save(program, path)
    again = torch.export.load(path).module()

    def ask(picture: Float) -> Answer:
        with torch.inference_mode():
            said = again(torch.from_numpy(picture)[None, None])
        return {name: values[0].numpy() for name, values in zip(graph.outputs, said, strict=True)}

    return Written(path.name, ask)


class _OfOne(torch.nn.Module):
    """The graph with the probabilities of its classes besides, as Core ML wants them of a classifier."""

    def __init__(self, graph: Deployed, spoken: int) -> None:
        super().__init__()
        self.deployed, self.spoken = graph, spoken

    def forward(self, image: torch.Tensor) -> tuple[torch.Tensor, ...]:
        said: tuple[torch.Tensor, ...] = self.deployed(image)
        present = said[0][:, self.spoken : self.spoken + 1]
        return (*said, torch.cat([1 - present, present], dim=1))


def class_labels(manifest: Manifest) -> tuple[str, str] | None:
    """Without it and with it, where the bundle ranks by one finding; a classifier says one of its labels, so
    there is none for several that may occur together.
    """
    spoken = [finding.name for finding in manifest.findings if not finding.research]
    return (f"no {spoken[0]}", spoken[0]) if len(spoken) == 1 else None


def _coreml(graph: Deployed, manifest: Manifest, folder: Path) -> Written:
    coremltools = _package("coremltools")
    labels = class_labels(manifest)
    spoken = next((at for at, finding in enumerate(manifest.findings) if not finding.research), 0)
    rows, columns = (
        coremltools.RangeDim(lower_bound=_SMALLEST_SIDE, upper_bound=_LARGEST_SIDE, default=_USUAL_SIDE)
        for _ in range(2)
    )
    model = coremltools.convert(
        _traced(_OfOne(graph, spoken).eval() if labels else graph),
        convert_to="mlprogram",
        inputs=[
            coremltools.ImageType(
                name=INPUT,
                shape=coremltools.Shape((1, 1, rows, columns)),
                color_layout=coremltools.colorlayout.GRAYSCALE,
            )
        ],
        classifier_config=coremltools.ClassifierConfig(list(labels), predicted_feature_name=CLASS)
        if labels
        else None,
        # Ranks are counted exactly in single precision and not in half.
        compute_precision=coremltools.precision.FLOAT32,
        minimum_deployment_target=coremltools.target.iOS16,
        skip_model_load=True,
    )
    model = _named(coremltools, model, [*([CLASS, PROBABILITIES] if labels else []), *graph.outputs])
    model.short_description = f"{manifest.name} {manifest.version}. " + NOT_A_DEVICE
    model.author = "FirstRead"
    model.version = manifest.version
    model.license = str(manifest.provenance.get("data", ""))
    model.user_defined_metadata[_ORIGIN] = manifest.sha256
    path = folder / "network.mlpackage"
    model.save(str(path))
    _check_structure(coremltools, path, graph, manifest)
    if sys.platform != "darwin":
        return Written(path.name, None, _MAC_ONLY)
    return Written(path.name, _ask_coreml(coremltools, path, graph.outputs))


_MAC_ONLY = sentence(
    "Core ML predicts on macOS only: the model was converted, and its inputs, outputs, shapes and labels "
    "were checked; whether it agrees with the bundle was not. Export it on a Mac to have that checked."
)
_ORIGIN = "sha256 of the bundle"


def _named(coremltools: Any, model: Any, names: list[str]) -> Any:
    """The model with its outputs named in their order: the converter names none of a classifier's."""
    spec = model.get_spec()
    for output, name in zip([output.name for output in spec.description.output], names, strict=True):
        coremltools.utils.rename_feature(spec, output, name, rename_inputs=False)
    return coremltools.models.MLModel(spec, weights_dir=model.weights_dir, skip_model_load=True)


NOT_A_DEVICE = "It is no medical device, and no decision about a patient may rest on it alone."


def _ask_coreml(coremltools: Any, path: Path, names: tuple[str, ...]) -> Ask:
    from PIL import Image  # noqa: PLC0415, on macOS only

    model = coremltools.models.MLModel(str(path), compute_units=coremltools.ComputeUnit.CPU_ONLY)

    def ask(picture: Float) -> Answer:
        said = model.predict({INPUT: Image.fromarray(picture.astype(np.uint8), mode="L")})
        return {name: np.asarray(said[name], dtype=np.float32)[0] for name in names}

    return ask


def _check_structure(coremltools: Any, path: Path, graph: Deployed, manifest: Manifest) -> None:
    """Raises `ExportRefused` where it has other inputs, outputs, shapes or labels than were meant."""
    said = coremltools.models.MLModel(str(path), skip_model_load=True).get_spec()
    labels, count, cells = class_labels(manifest), len(manifest.findings), manifest.input_size // 32
    shapes = {"activation_map": [1, count, cells, cells], "gate": [1, len(graph.gates)]}
    main = said.mlProgram.functions["main"]
    [block] = main.block_specializations.values()
    described = {output.name: list(output.type.multiArrayType.shape) for output in said.description.output}
    grey = coremltools.proto.FeatureTypes_pb2.ImageFeatureType.ColorSpace.GRAYSCALE
    [image] = said.description.input
    sizes = image.type.imageType.imageSizeRange
    found = [
        [
            value.immediateValue.tensor.strings.values[0]
            for value in operation.inputs["classes"].arguments[0].value.immediateValue.list.values
        ]
        for operation in block.operations
        if operation.type == "classify"
    ]
    right = (
        image.name == INPUT
        and image.type.imageType.colorSpace == grey
        and (sizes.widthRange.lowerBound, sizes.heightRange.upperBound) == (_SMALLEST_SIDE, _LARGEST_SIDE)
        and set(block.outputs) == set(described)
        and all(described.get(name) == shapes.get(name, [1, count]) for name in graph.outputs)
        and found == ([] if labels is None else [list(labels)])
        and (labels is None or said.description.predictedProbabilitiesName == PROBABILITIES)
        and said.description.metadata.userDefined[_ORIGIN] == manifest.sha256
    )
    if not right:
        raise ExportRefused(sentence("Core ML made another model of the bundle than was asked of it."))


def _traced(module: torch.nn.Module) -> torch.jit.ScriptModule:
    trace = torch.jit.trace(module, torch.rand(1, 1, *_SAMPLE[2:]) * 255, check_trace=False)  # type: ignore[no-untyped-call]
    assert isinstance(trace, torch.jit.ScriptModule)
    return trace


def _package(name: str) -> Any:
    """The package, by its name alone: a site that exports nothing has none of them."""
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise ExportRefused(
            sentence(
                f"The package {name} is not installed here, and this format needs it: install FirstRead with "
                'its extra "export".'
            )
        ) from error


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """What the converters have to say of versions and of their own progress tells a user nothing."""
    loggers = [logging.getLogger(name) for name in ("coremltools", "torch.onnx", "onnxscript", "onnx_ir")]
    before = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stderr(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, before, strict=True):
            logger.setLevel(level)
