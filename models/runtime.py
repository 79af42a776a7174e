"""Where the network runs: OpenVINO on a processor, torch on a GPU. Either gives class activation maps for a
batch.
"""

from __future__ import annotations

import contextlib
import io
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
import openvino

from models.bundle_file import IR_BIN, IR_XML
from models.manifest import BundleRefused, Manifest
from models.phantom import phantom
from models.preprocess import Float, prepare

LARGEST_BATCH = 16
_MOST_STREAMS = 4
_LARGEST_SHARE = 2
"""Images in one pass of a stream."""
AGREEMENT_TOLERANCE = 0.02
"""Largest difference of a calibrated probability from fp32 that a faster precision may show on the phantoms.
"""


class Look(NamedTuple):
    """What one forward pass gives for n images."""

    maps: Float
    """Class activation maps, float32 (n, findings, h, w)."""
    distances: Float
    """How far each image is from those of the training, float32 (n,); zeros where the bundle cannot tell."""
    embeddings: Float
    """Descriptions of length 1 by which like images are found, float32 (n, 128); (n, 0) where the bundle
    carries none.
    """
    appearances: Float
    """Logits of `models.pixel_gate.LABELS`, float32 (n, 11); (n, 0) where the bundle carries none."""


def look_of(seen: Sequence[Float]) -> Look:
    """The look from a pass's outputs in their order, of which bundles of older formats lack the last."""
    count = len(seen[0])
    none = np.zeros((count, 0), np.float32)
    absent = (np.zeros(count, np.float32), none, none)
    return Look(seen[0], *seen[1:], *absent[len(seen) - 1 :])


class Runtime(Protocol):
    """Takes a batch of prepared images, float32 (n, 1, side, side)."""

    name: str
    conditions: dict[str, str | int]
    """Beside the name, what the last bit of an answer depends on: library, device, threads."""

    def look(self, batch: Float) -> Look: ...


class OpenVinoRuntime:
    """The network on a processor, in one precision.

    A batch is shared out among independent streams. One stream of several threads, which wait for each other
    in every layer, takes a fifth more processor time for the same images, and more where cores are busy. A
    share of more than two images takes as long an image, and more memory.
    """

    def __init__(self, members: Mapping[str, bytes], *, precision: str, threads: int | None = None) -> None:
        core = openvino.Core()
        model = core.read_model(model=io.BytesIO(members[IR_XML]), weights=io.BytesIO(members[IR_BIN]))
        threads = threads or _cores()
        streams = min(threads, _MOST_STREAMS)
        settings: dict[str, Any] = {
            "PERFORMANCE_HINT": "THROUGHPUT",
            "NUM_STREAMS": str(streams),
            "INFERENCE_NUM_THREADS": threads,
            "INFERENCE_PRECISION_HINT": {"bf16": "bf16", "fp32": "f32"}[precision],
        }
        self._compiled = core.compile_model(model, "CPU", settings)
        self._requests = [self._compiled.create_infer_request() for _ in range(streams)]
        self.name = f"openvino/CPU {precision}"
        self.conditions: dict[str, str | int] = {
            "library": f"openvino {openvino.__version__}",
            "device": str(core.get_property("CPU", "FULL_DEVICE_NAME")),
            "threads": threads,
            "streams": streams,
        }

    def look(self, batch: Float) -> Look:
        streams = len(self._requests)
        count = max(min(len(batch), streams), -(-len(batch) // _LARGEST_SHARE))
        shares = np.array_split(np.ascontiguousarray(batch), count)
        seen: list[list[Float]] = []
        try:
            for at, share in enumerate(shares):
                if at >= streams:
                    seen.append(self._seen_by(self._requests[at % streams]))
                self._requests[at % streams].start_async([share])
            seen += [self._seen_by(self._requests[at % streams]) for at in range(len(seen), count)]
        except RuntimeError:
            for request in self._requests:  # what still runs would refuse the next batch
                with contextlib.suppress(RuntimeError):
                    request.wait()
            raise
        return look_of([np.concatenate(shared) for shared in zip(*seen, strict=True)])

    def _seen_by(self, request: openvino.InferRequest) -> list[Float]:
        """The outputs of a request, once it has them."""
        request.wait()
        return [np.array(request.get_tensor(one).data, np.float32) for one in self._compiled.outputs]


def _cores() -> int:
    """Processor cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def start(
    members: Mapping[str, bytes], manifest: Manifest, *, device: str, threads: int | None = None
) -> Runtime:
    """The fastest runtime that gives the bundle's own answers on the phantoms, in a precision in which its
    lanes were counted; raises `BundleRefused` if none does.

    ``device`` is auto, cpu or cuda. auto takes a GPU where torch is installed and sees one.
    """
    if device not in ("auto", "cpu", "cuda"):
        raise ValueError(f"device is auto, cpu or cuda, not {device!r}")
    if device == "cuda" or (device == "auto" and _gpu_is_likely()):
        runtime = _on_gpu(members, manifest, required=device == "cuda")
        if runtime is not None:
            return runtime
    worst = 0.0
    for precision in _precisions(manifest):
        try:
            on_processor = OpenVinoRuntime(members, precision=precision, threads=threads)
        except RuntimeError as error:
            raise BundleRefused(
                f"OpenVINO cannot load the bundle's network: {str(error).splitlines()[0]}"
            ) from error
        worst = disagreement(on_processor, manifest)
        if worst <= AGREEMENT_TOLERANCE:
            return on_processor
    raise BundleRefused(
        f"The bundle's network gives other answers here than where it was made (by {worst:.3f} in "
        "probability); it must not be used on this machine."
    )


def _precisions(manifest: Manifest) -> tuple[str, ...]:
    """Those of this processor in which the bundle may be served, the fastest first."""
    return tuple(each for each in _of_the_processor() if _is_counted_in(manifest, each))


def _of_the_processor() -> tuple[str, ...]:
    capable = openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    return ("bf16", "fp32") if "BF16" in capable else ("fp32",)


def _is_counted_in(manifest: Manifest, precision: str) -> bool:
    """Half precision puts a few more images on the wrong side of a cut than it was made for."""
    return all(precision in cuts.precisions for cuts in manifest.thresholds.values())


def in_all_precisions(members: Mapping[str, bytes], *, threads: int | None = None) -> dict[str, Runtime]:
    """A runtime on this processor in each of its precisions."""
    return {
        precision: OpenVinoRuntime(members, precision=precision, threads=threads)
        for precision in _of_the_processor()
    }


def _gpu_is_likely() -> bool:
    """Whether importing torch (seconds, hundreds of megabytes) can be worth it: the driver's device file is
    there.
    """
    return Path("/dev/nvidiactl").exists() or Path("/dev/nvidia0").exists()


def _on_gpu(members: Mapping[str, bytes], manifest: Manifest, *, required: bool) -> Runtime | None:
    try:
        # Only here: a screening worker on a processor must not carry torch.
        from models.torch_runtime import TorchRuntime, gpu_available  # noqa: PLC0415
    except ImportError:
        pass  # without torch there is no GPU path: as without a GPU, said below where one was required
    else:
        if gpu_available():
            half = _is_counted_in(manifest, "bf16")
            runtime = TorchRuntime(members, findings=len(manifest.findings), device="cuda", half=half)
            if disagreement(runtime, manifest) <= AGREEMENT_TOLERANCE:
                return runtime
    if required:
        raise BundleRefused(
            "No GPU gives the bundle's answers on this machine; use device cpu, or auto for whatever works."
        )
    return None


def agreement_batch(manifest_seed: int, count: int, *, side: int) -> Float:
    """The phantoms on which runtimes are compared, prepared: float32 (count, 1, side, side)."""
    drawn = [phantom(manifest_seed + index, opacity=index % 2 == 1) for index in range(count)]
    return np.stack([prepare(image, side=side) for image in drawn])[:, None]


def disagreement(runtime: Runtime, manifest: Manifest) -> float:
    """Largest difference in calibrated probability between this runtime and the fp32 logits the bundle
    states; inf for NaN.
    """
    expected = np.asarray(manifest.agreement["logits"], dtype=np.float64)
    batch = agreement_batch(int(manifest.agreement["seed"]), len(expected), side=manifest.input_size)
    bias = np.asarray([finding.bias for finding in manifest.findings])
    maps = runtime.look(batch).maps
    if maps.ndim != 4 or maps.shape[:2] != expected.shape:
        return float("inf")
    logits = maps.sum(axis=(2, 3), dtype=np.float64) + bias
    worst = 0.0
    for index, finding in enumerate(manifest.findings):
        fit = manifest.calibration[finding.name]
        pair = [1 / (1 + np.exp(-(fit.slope * z[:, index] + fit.intercept))) for z in (logits, expected)]
        worst = max(worst, float(np.abs(pair[0] - pair[1]).max()))
    return worst if np.isfinite(worst) and np.isfinite(logits).all() else float("inf")
