"""What the benches send: real radiographs where the folder of them is there, phantoms elsewhere."""

from __future__ import annotations

import os
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from uuid import uuid4

import cv2
import numpy as np
from numpy.typing import NDArray

from app.dicom.phantom import draw_phantom
from app.dicom.write import wrap

_REPOSITORY = Path(__file__).resolve().parent.parent


def originals(folder: Path) -> list[Path]:
    """Full-size JPEGs: `kermany_originals` of the shared data, or 24 phantoms drawn into `folder`."""
    shared = Path(os.environ.get("FIRSTREAD_SHARED") or _REPOSITORY.parent / "shared") / "data"
    real = sorted((shared / "kermany_originals").rglob("*.jpeg"))
    if real:
        return real
    print("The folder of real radiographs is absent: phantoms are drawn instead.")
    drawn = []
    for seed in range(24):
        path = folder / f"phantom-{seed:02d}.jpeg"
        pixels = draw_phantom(style="normal", seed=seed, rows=1000, columns=1400).pixels
        cv2.imwrite(
            str(path), (pixels.astype(np.float32) * (255 / max(1, int(pixels.max())))).astype(np.uint8)
        )
        drawn.append(path)
    return drawn


def fresh_jpegs(paths: list[Path]) -> Iterator[bytes]:
    """The files over and over, each made new by a comment segment (COM, ITU-T T.81 B.2.4.5) after SOI."""
    for number in count():
        data = paths[number % len(paths)].read_bytes()
        words = f"bench {uuid4()}".encode()
        yield data[:2] + b"\xff\xfe" + (len(words) + 2).to_bytes(2, "big") + words + data[2:]


def dicom_template(*, rows: int = 1024, columns: int = 1024) -> tuple[bytes, dict[str, str]]:
    """An uncompressed DX file of rows x columns bytes, and the UIDs in it that `fresh_dicoms` replaces."""
    uids = {name: _uid() for name in ("study", "series", "instance")}
    pixels = draw_phantom(style="normal", seed=1, rows=rows, columns=columns).pixels
    data = wrap(
        _eight_bits(pixels),
        study_instance_uid=uids["study"],
        series_instance_uid=uids["series"],
        sop_instance_uid=uids["instance"],
    )
    return data, uids


def fresh_dicoms(template: bytes, uids: dict[str, str]) -> Iterator[bytes]:
    """Copies of the template that are studies of their own, with pixels of their own."""
    for number in count():
        data = template
        for uid in uids.values():
            data = data.replace(uid.encode(), _uid().encode())
        yield data[:-8] + number.to_bytes(8, "little")


def _eight_bits(pixels: NDArray[np.uint16]) -> NDArray[np.uint8]:
    return (pixels.astype(np.float32) * (255 / max(1, int(pixels.max())))).astype(np.uint8)


def _uid() -> str:
    """A UID of a length that never changes (PS3.5 B.2 allows no leading zero)."""
    return f"2.25.1{uuid4().int % 10**38:038d}"
