"""How long decoding takes in each transfer syntax, what presentation adds, and how pydicom compares.

.venv/bin/python bench/decoding.py [--rows 2500] [--columns 2000] [--repeats 5]

One 12-bit phantom in each transfer syntax (8 bits where the codec has no more). Figures are the best of
several, in milliseconds of processor time, so that other work on the machine disturbs them little: `header`
reads and hashes, `decode` gives the stored samples, `present` the windowed 8-bit image with its preview JPEG,
`pydicom` is its plain `pixel_array` by whichever codec it chooses, `ratio` is pydicom over decode. `pool` is
the presentation through a child of the decoder pool, by the clock on the wall.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import pydicom
from pydicom.uid import UID, JPEGBaseline8Bit

from app.dicom.decoder_pool import DecoderPool
from app.dicom.encode import ENCAPSULATED
from app.dicom.header import DICOM, read_header
from app.dicom.part10 import open_dicom
from app.dicom.phantom import draw_phantom
from app.dicom.pixels import present
from app.dicom.stored import read_stored
from app.dicom.write import wrap

NATIVE = ("1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.1.99", "1.2.840.10008.1.2.2")


def milliseconds(
    work: Callable[[], object], repeats: int, clock: Callable[[], float] = time.process_time
) -> float:
    """The shortest of `repeats` calls by the clock, after one that is not counted."""
    work()
    times = []
    for _ in range(repeats):
        started = clock()
        work()
        times.append(clock() - started)
    return 1000 * min(times)


def decode(path: Path) -> None:
    """Decode the stored samples."""
    with open_dicom(path) as opened:
        read_stored(opened, path)


def through(pool: DecoderPool, path: Path) -> None:
    """Present the image in a child."""
    pool.presentation(path, DICOM).result()


def by_pydicom(path: Path, repeats: int) -> float | None:
    """The time of pydicom's pixel_array, None where it has no codec."""
    try:
        return milliseconds(lambda: pydicom.dcmread(path).pixel_array, repeats)
    except Exception:  # noqa: BLE001 - pydicom says in many ways that it cannot
        return None


def main() -> None:
    """Print one line for each transfer syntax."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--rows", type=int, default=2500)
    parser.add_argument("--columns", type=int, default=2000)
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    cv2.setNumThreads(1)
    pixels = draw_phantom(rows=options.rows, columns=options.columns).pixels
    print(f"{options.columns} x {options.rows}, best of {options.repeats}, milliseconds")
    titles = ("MB", "header", "decode", "present", "pool", "pydicom", "ratio")
    widths = (5, 7, 7, 8, 7, 8, 6)
    print(
        f"{'transfer syntax':55}", *(f"{title:>{width}}" for title, width in zip(titles, widths, strict=True))
    )
    with (
        tempfile.TemporaryDirectory() as folder,
        DecoderPool(processes=1, seconds=60, memory_bytes=2**30) as pool,
    ):
        for syntax in (*NATIVE, *sorted(ENCAPSULATED)):
            eight = syntax == JPEGBaseline8Bit
            source = (pixels >> 4).astype(np.uint8) if eight else pixels
            path = Path(folder) / f"{syntax}.dcm"
            path.write_bytes(wrap(source, bits_stored=8 if eight else 12, transfer_syntax=syntax))
            ours = milliseconds(partial(decode, path), options.repeats)
            theirs = by_pydicom(path, options.repeats)
            line = [
                milliseconds(partial(read_header, path), options.repeats),
                ours,
                milliseconds(partial(present, path, DICOM, preview_side=1024), options.repeats),
                milliseconds(partial(through, pool, path), options.repeats, time.perf_counter),
            ]
            figures = " ".join(
                f"{figure:{width}.1f}" for figure, width in zip(line, (7, 7, 8, 7), strict=True)
            )
            compared = f"{theirs:8.1f} {theirs / ours:6.1f}" if theirs else f"{'none':>8} {'':>6}"
            print(f"{UID(syntax).name[:55]:55} {path.stat().st_size / 1e6:5.1f} {figures} {compared}")


if __name__ == "__main__":
    main()
