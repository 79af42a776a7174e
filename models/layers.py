"""What the layers see: feature maps of one image from an early, a middle and a late layer of a network.

Runs on a processor from the bundle's OpenVINO model, whose inner results are asked for beside its answer, so
that what is shown is what answered. Layers are chosen by where they stand, not by name: the last activation
at the finest, the middle and the coarsest resolution on the way from the image to the class activation maps.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import openvino
from numpy.typing import NDArray

from models.bundle_file import IR_BIN, IR_XML, read_bundle
from models.manifest import BundleRefused, Manifest
from models.pixel_gate import refuse_shape
from models.preprocess import Float, prepare
from models.sentence import sentence

__all__ = ["BundleRefused", "FeatureMap", "ImageRefused", "Inside", "Layer", "look_inside"]

Depth = Literal["early", "middle", "late"]
Grey8 = NDArray[np.uint8]

_DEPTHS: tuple[Depth, ...] = ("early", "middle", "late")
_ACTIVATIONS = frozenset({"Clamp", "Relu", "PRelu", "Swish", "HSwish", "Gelu", "Elu"})


class ImageRefused(Exception):
    """The network takes no such image; the message is a sentence."""


@dataclass(frozen=True)
class FeatureMap:
    """How strongly one detector of a layer responded, place by place."""

    channel: int
    grey: Grey8
    """uint8 (h, w), 0 the weakest and 255 the strongest response of this detector in this image."""


@dataclass(frozen=True)
class Layer:
    """One layer, and those of its feature maps that vary most over the image and are least alike."""

    depth: Depth
    rows: int
    columns: int
    channels: int
    """How many detectors the layer has; `maps` are some of them."""
    silent: int
    """Detectors that gave the same everywhere, and so saw nothing they know."""
    maps: tuple[FeatureMap, ...]


@dataclass(frozen=True)
class Inside:
    """One image on its way through the network."""

    name: str
    version: str
    given: Grey8
    """What the network is given: the image as it was prepared, uint8 (side, side)."""
    layers: tuple[Layer, ...]
    """early, middle, late; fewer where the network has fewer resolutions."""
    contributions: Mapping[str, Float]
    """Class activation map of each finding that is not research, float32 (h, w): what the late layer adds up
    to.
    """


def look_inside(
    path: Path, image: NDArray[np.uint8] | NDArray[np.uint16], *, maps: int = 12, threads: int = 1
) -> Inside:
    """The image, uint8 or uint16 (rows, columns) with bone bright, as the bundle's network sees it.

    At most `maps` feature maps a layer. Raises BundleRefused for a bundle that must not be used, and
    ImageRefused for an image that has no size a radiograph has.
    """
    refused = refuse_shape(*image.shape)
    if refused is not None:
        raise ImageRefused(refused)
    members, manifest = read_bundle(path)
    given = prepare(image, side=manifest.input_size)
    answer, seen = _pass(members, given, threads=threads)
    return Inside(
        name=manifest.name,
        version=manifest.version,
        given=_as_grey(given, low=-1.0, high=1.0),
        layers=tuple(
            _layer(depth, values, most=maps) for depth, values in zip(_depths(len(seen)), seen, strict=True)
        ),
        contributions=_contributions(manifest, answer),
    )


def _pass(members: Mapping[str, bytes], given: Float, *, threads: int) -> tuple[Float, list[Float]]:
    """Class activation maps, (findings, h, w), and the chosen layers' responses, each (channels, h, w)."""
    core = openvino.Core()
    try:
        model = core.read_model(model=io.BytesIO(members[IR_XML]), weights=io.BytesIO(members[IR_BIN]))
        answer = model.outputs[0].get_node().input_value(0)
        chosen = _chosen(answer.get_node())
        # Without the outputs nobody asks for here, what serves only them is not computed.
        seen = openvino.Model([answer, *chosen], model.get_parameters(), "inside")
        compiled = core.compile_model(
            seen, "CPU", {"INFERENCE_NUM_THREADS": threads, "INFERENCE_PRECISION_HINT": "f32"}
        )
        given_answers = compiled([np.ascontiguousarray(given[None, None])])
    except RuntimeError as error:
        raise BundleRefused(
            f"OpenVINO cannot show the layers of the bundle's network: {str(error).splitlines()[0]}"
        ) from error
    arrays = [np.asarray(given_answers[output][0], dtype=np.float32) for output in compiled.outputs]
    if not all(np.isfinite(array).all() for array in arrays):
        raise ImageRefused(sentence("The network gave no finite answer for this image."))
    return arrays[0], arrays[1:]


def _chosen(answer: Any) -> list[Any]:
    """Outputs of the last activation at the finest, the middle and the coarsest resolution."""
    last: dict[int, Any] = {}
    for node in _way_to(answer):
        shape = node.get_output_partial_shape(0)
        if node.get_type_name() not in _ACTIVATIONS or shape.rank.is_dynamic or shape.rank.get_length() != 4:
            continue
        if shape[2].is_static:
            last[shape[2].get_length()] = node.output(0)
    sides = sorted(last, reverse=True)
    if not sides:
        raise BundleRefused("The bundle's network has no activations between image and answer to show.")
    picked = sides if len(sides) <= 3 else [sides[0], sides[len(sides) // 2], sides[-1]]
    return [last[side] for side in picked]


def _way_to(answer: Any) -> Iterable[Any]:
    """The nodes that the answer is made of, each after those it is made of itself."""
    done: dict[str, Any] = {}
    waiting = [(answer, False)]
    while waiting:
        node, ready = waiting.pop()
        name = node.get_name()
        if ready:
            done[name] = node
        elif name not in done:
            waiting.append((node, True))
            waiting.extend((value.get_node(), False) for value in node.input_values())
    return done.values()


def _depths(count: int) -> tuple[Depth, ...]:
    return _DEPTHS if count == 3 else (_DEPTHS[0], _DEPTHS[2])[:count]


def _layer(depth: Depth, responses: Float, *, most: int) -> Layer:
    order = _telling(responses, most=most)
    channels, rows, columns = responses.shape
    return Layer(
        depth=depth,
        rows=rows,
        columns=columns,
        channels=channels,
        silent=int((responses.std(axis=(1, 2)) == 0).sum()),
        maps=tuple(
            FeatureMap(
                channel,
                _as_grey(
                    responses[channel],
                    low=float(responses[channel].min()),
                    high=float(responses[channel].max()),
                ),
            )
            for channel in order
        ),
    )


def _telling(responses: Float, *, most: int) -> list[int]:
    """Channels one after the other: each varies much and resembles none before it (by correlation)."""
    flat = responses.reshape(len(responses), -1)
    flat = flat - flat.mean(axis=1, keepdims=True)
    spread = np.linalg.norm(flat, axis=1)
    shapes = flat / np.maximum(spread, np.finfo(np.float32).tiny)[:, None]
    score, order = spread.copy(), []
    for _ in range(most):
        channel = int(score.argmax())
        if score[channel] <= 1e-6 * spread.max():
            break
        order.append(channel)
        score = np.minimum(score, spread * (1 - np.abs(shapes @ shapes[channel])))
        score[order] = 0
    return order


def _as_grey(values: Float, *, low: float, high: float) -> Grey8:
    scaled = (np.clip(values, low, high) - low) * (255 / (high - low))
    return np.asarray(np.rint(scaled), dtype=np.uint8)


def _contributions(manifest: Manifest, answer: Float) -> dict[str, Float]:
    return {
        finding.name: answer[index] for index, finding in enumerate(manifest.findings) if not finding.research
    }
