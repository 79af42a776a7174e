"""`firstread predict` and the worker over 500 full-size images, against the bound and a plain loop.

    .venv/bin/python -m bench.predict [--images 500]

Half are JPEGs as they came, half the same pictures in DICOM files without compression. What cannot be avoided
is measured alone on all cores: decoding (the decoder pool) and the network's raw pass (OpenVINO on prepared
inputs, 16 at a time). Where both need the same cores the bound is their sum; the slower of the two is what
would be left if the other ran elsewhere. The plain loop is `bench/plain.py` (pydicom, eager torch) over part
of the files. The worker reads the same files from a full queue of a running service, commits each reading and
makes its preview.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from pydicom import dcmread
from pydicom.uid import generate_uid

from app.dicom.decoder_pool import DecoderPool
from app.dicom.write import wrap
from bench.pictures import fresh_jpegs, originals
from bench.plain import plain_input, plain_network, plain_pixels
from bench.reading_latency import drained
from bench.service import running_service
from models.bundle import Bundle, default_bundle_path
from models.preprocess import prepare

_PLAIN_IMAGES = 100
_BATCH = 16


def write_images(folder: Path, paths: list[Path], count: int) -> list[Path]:
    """`count` files: every other one a DICOM."""
    written = []
    for number in range(count):
        source = paths[number % len(paths)]
        if number % 2 == 0:
            target = folder / f"{number:04d}.jpeg"
            target.write_bytes(source.read_bytes())
        else:
            target = folder / f"{number:04d}.dcm"
            pixels = cv2.imread(str(source), cv2.IMREAD_GRAYSCALE)
            assert pixels is not None
            target.write_bytes(wrap(pixels))
        written.append(target)
    return written


def media_type(path: Path) -> str:
    return "application/dicom" if path.suffix == ".dcm" else "image/jpeg"


def decoded(files: list[Path], pool: DecoderPool, *, reading_side: int) -> Iterator[NDArray[np.uint8]]:
    """The files' pictures, as the network gets them; at most 32 wait to be taken."""
    ahead = []
    for path in files:
        ahead.append(pool.presentation(path, media_type(path), preview_side=0, reading_side=reading_side))
        if len(ahead) > 32:
            yield ahead.pop(0).result().grey
    for future in ahead:
        yield future.result().grey


def as_posted(files: list[Path]) -> list[bytes]:
    """The files as new images: a JPEG with a comment of its own, a DICOM file with UIDs of its own."""
    return [
        next(fresh_jpegs([path])) if path.suffix == ".jpeg" else with_new_uids(path.read_bytes())
        for path in files
    ]


def with_new_uids(data: bytes) -> bytes:
    """The DICOM file as another study."""
    image = dcmread(BytesIO(data))
    image.StudyInstanceUID, image.SeriesInstanceUID = generate_uid(), generate_uid()
    image.SOPInstanceUID = image.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    image.save_as(written := BytesIO())
    return written.getvalue()


def processor_seconds() -> float:
    """What ended processes that this one started took of the processor, and theirs."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--images", type=int, default=500)
    count = parser.parse_args().images
    with tempfile.TemporaryDirectory(prefix="firstread-bench-") as folder:
        (images := Path(folder) / "images").mkdir()
        files = write_images(images, originals(Path(folder)), count)
        pixels = [cv2.imread(str(path), cv2.IMREAD_GRAYSCALE) for path in files[::2]]
        sizes = [image.size for image in pixels if image is not None]
        print(f"{count} images, {np.mean(sizes) / 1e6:.2f} million pixels on average")
        del pixels

        answer = plain_network()
        answer(plain_input(plain_pixels(files[0])))
        started = time.monotonic()
        for path in files[:_PLAIN_IMAGES]:
            answer(plain_input(plain_pixels(path)))
        plain = min(_PLAIN_IMAGES, count) / (time.monotonic() - started)
        print(f"{'plain pydicom and torch loop':<44} {plain:7.1f} images/s", flush=True)

        bundle = Bundle.load(default_bundle_path(), device="cpu")
        with DecoderPool(processes=os.cpu_count() or 1, seconds=60, memory_bytes=2**31) as pool:
            some = list(decoded(files[:_BATCH], pool, reading_side=bundle.reading_side))
            started = time.monotonic()
            for _ in decoded(files, pool, reading_side=bundle.reading_side):
                pass
            decoding = (time.monotonic() - started) / count
        side = bundle.manifest.input_size
        batch = np.stack([prepare(image, side=side) for image in some])[:, None]
        bundle._runtime.look(batch)
        started = time.monotonic()
        for _ in range(count // len(some) + 1):
            bundle._runtime.look(batch)
        network = (time.monotonic() - started) / ((count // len(some) + 1) * len(some))
        started = time.monotonic()
        for _ in range(count // len(some) // 4 + 1):
            bundle.screen(some)
        screening = (time.monotonic() - started) / ((count // len(some) // 4 + 1) * len(some))
        bound = 1 / (decoding + network)
        print(f"{'decoding alone':<44} {1 / decoding:7.1f} images/s")
        print(f"{'network alone, ' + bundle.runtime:<44} {1 / network:7.1f} images/s")
        print(f"{'Bundle.screen alone (with preprocessing)':<44} {1 / screening:7.1f} images/s")
        slower = 1 / max(decoding, network)
        print(f"{'bound: decoding and network, one after other':<44} {bound:7.1f} images/s")
        print(f"{'the slower of the two, the other elsewhere':<44} {slower:7.1f} images/s", flush=True)

        out = Path(folder) / "out.jsonl"
        command = [
            sys.executable,
            "-m",
            "app.cli",
            "predict",
            str(images),
            "--out",
            str(out),
            "--device",
            "cpu",
        ]
        started, spent = time.monotonic(), processor_seconds()
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        whole = count / (time.monotonic() - started)
        spent = (processor_seconds() - spent) * 1000 / count
        said = float(done.stderr.rpartition("(")[2].split(" a second")[0])
        print(f"{'firstread predict':<44} {said:7.1f} images/s   {said / bound:5.2f} x bound", end="")
        print(f"   {said / slower:5.2f} x the slower", end="")
        print(f"   {said / plain:5.1f} x plain loop")
        print(f"{'firstread predict, start of Python included':<44} {whole:7.1f} images/s")
        print(f"{'its processor time, start included':<44} {spent:7.2f} ms an image", flush=True)

        with running_service() as service:
            drained(service, as_posted(files[:_BATCH]))
            worker = drained(service, as_posted(files))
        print(
            f"{'the worker, readings committed':<44} {worker:7.1f} images/s   {worker / bound:5.2f} x bound",
            end="",
        )
        print(f"   {worker / slower:5.2f} x the slower", end="")
        print(f"   {worker / plain:5.1f} x plain loop")


if __name__ == "__main__":
    main()
