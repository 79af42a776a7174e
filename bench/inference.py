"""What screening costs: starting a bundle, preparing an image, and a pass of the network at batch 1 and 16.

.venv/bin/python bench/inference.py [--bundle FILE] [--rows 2500] [--columns 2000] [--repeats 15] [--torch]
                                    [--lite0] [--pairs FOLDER]

Figures are the best of several, by the clock on the wall, for drawn chests. `--torch` adds the same
network through torch on the processor, in fp32 and in bf16. `--lite0` holds a pass, in turn, against one of a
plain EfficientNet-Lite0 at 224 x 224 points through the same runtime. `--pairs FOLDER` takes the folder that
holds kermany/ and kermany_originals/ and tells how far the full-size radiographs and their published squashes
differ in probability.
"""

from __future__ import annotations

import argparse
import csv
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import cv2
import numpy as np

from models.bundle import Bundle, default_bundle_path
from models.bundle_file import IR_BIN, IR_XML, MANIFEST, unseal
from models.manifest import from_json
from models.phantom import phantom
from models.preprocess import prepare
from models.runtime import OpenVinoRuntime, agreement_batch, disagreement

_BATCHES = (1, 16)
_LITE0_SIDE = 224


def best(work: Callable[[], object], repeats: int) -> float:
    """The shortest of several runs, in milliseconds, after one that is not counted."""
    work()
    times = []
    for _ in range(repeats):
        started = time.perf_counter()
        work()
        times.append(time.perf_counter() - started)
    return min(times) * 1e3


def main() -> None:
    options = _options()
    started = time.perf_counter()
    bundle = Bundle.load(options.bundle, device="cpu")
    ready = time.perf_counter() - started
    resident = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(
        f"bundle        {options.bundle.name}, {options.bundle.stat().st_size / 1e6:.1f} MB, {bundle.runtime}"
    )
    print(
        f"ready in      {ready:.2f} s, {resident:.0f} MB resident at most, "
        f"torch imported: {'torch' in sys.modules}"
    )
    side = bundle.manifest.input_size
    picture = phantom(1, rows=options.rows, columns=options.columns)
    print(f"prepare       {best(partial(prepare, picture, side=side), options.repeats):.2f} ms an image")
    members, sha256 = unseal(options.bundle)
    manifest = from_json(members[MANIFEST], sha256=sha256)
    batches = {count: agreement_batch(1, count, side=side) for count in _BATCHES}
    for precision in ("fp32", "bf16"):
        runtime = OpenVinoRuntime(members, precision=precision)
        times = [best(partial(runtime.look, batches[n]), options.repeats) / n for n in _BATCHES]
        print(
            f"openvino {precision} {times[0]:.2f} ms an image alone, {times[1]:.2f} by sixteen; "
            f"differs from fp32 where it was made by at most {disagreement(runtime, manifest):.4f}"
        )
    for count in _BATCHES:
        pictures = [picture] * count
        took = best(partial(bundle.screen, pictures), options.repeats) / count
        print(f"screen x {count:<4d} {took:.2f} ms an image, preparing included")
    if options.lite0:
        _against_lite0(members, batches, options.repeats)
    if options.torch:
        _torch(members, len(manifest.findings), batches, options.repeats)
    if options.pairs:
        _pairs(bundle, options.pairs)


def _against_lite0(members: dict[str, bytes], batches: dict[int, np.ndarray], repeats: int) -> None:
    import openvino  # noqa: PLC0415 - with torch, as below

    from models.export import openvino_model  # noqa: PLC0415
    from models.network import Network  # noqa: PLC0415

    with tempfile.TemporaryDirectory() as folder:
        xml, binary = Path(folder, IR_XML), Path(folder, IR_BIN)
        openvino.save_model(openvino_model(Network(1).eval(), side=_LITE0_SIDE), xml)
        plain = {IR_XML: xml.read_bytes(), IR_BIN: binary.read_bytes()}
    for precision in ("fp32", "bf16"):
        ours = OpenVinoRuntime(members, precision=precision)
        lite0 = OpenVinoRuntime(plain, precision=precision)
        for count in _BATCHES:
            large = np.zeros((count, 1, _LITE0_SIDE, _LITE0_SIDE), np.float32)
            # In turn: what else the machine does meets both.
            pairs = [
                (best(partial(ours.look, batches[count]), 3), best(partial(lite0.look, large), 3))
                for _ in range(repeats)
            ]
            mine, its = (min(times) / count for times in zip(*pairs, strict=True))
            print(
                f"lite0 {precision}    {its:.2f} ms an image at {_LITE0_SIDE}, x {count}; the bundle takes "
                f"{mine:.2f} ms, {mine / its:.2f} times as long"
            )


def _torch(members: dict[str, bytes], findings: int, batches: dict[int, np.ndarray], repeats: int) -> None:
    import torch  # noqa: PLC0415 - only with --torch: the figures above are those of a process without it

    from models.torch_runtime import TorchRuntime  # noqa: PLC0415

    runtime = TorchRuntime(members, findings=findings, device="cpu")
    for name, enabled in (("fp32", False), ("bf16", True)):
        with torch.autocast("cpu", torch.bfloat16, enabled=enabled):
            times = [best(partial(runtime.look, batches[n]), repeats) / n for n in _BATCHES]
        print(f"torch {name}    {times[0]:.2f} ms an image alone, {times[1]:.2f} by sixteen")


def _pairs(bundle: Bundle, folder: Path) -> None:
    with (folder / "kermany_originals" / "manifest.csv").open(newline="") as file:
        paths = [row["path"] for row in csv.DictReader(file)]
    full, small = (
        [
            screening.findings.get(bundle.manifest.findings[0].name)
            for screening in bundle.screen(
                [cv2.imread(str(folder / part / path), cv2.IMREAD_GRAYSCALE) for path in paths]
            )
        ]
        for part in ("kermany_originals", "kermany")
    )
    both = [(a, b) for a, b in zip(full, small, strict=True) if a is not None and b is not None]
    apart = np.abs(np.array([a.probability - b.probability for a, b in both]))
    alike = np.mean([a.lane == b.lane for a, b in both])
    print(f"pairs         {len(both)} of {len(paths)} screened in both sizes: ", end="")
    print(f"{apart.mean():.4f} apart on average, {apart.max():.3f} at most; ", end="")
    print(f"same lane in {alike:.1%}")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--bundle", type=Path, default=default_bundle_path())
    parser.add_argument("--rows", type=int, default=2500)
    parser.add_argument("--columns", type=int, default=2000)
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--torch", action="store_true")
    parser.add_argument("--lite0", action="store_true")
    parser.add_argument("--pairs", type=Path)
    return parser.parse_args()


if __name__ == "__main__":
    main()
