"""What is posted: small phantoms, no two alike, and files that must be refused."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from app.dicom.phantom import PHANTOM_STYLES, draw_phantom
from app.dicom.write import wrap

_ROWS, _COLUMNS = 256, 216


@dataclass(frozen=True, kw_only=True)
class Picture:
    """One file to post; `sop_instance_uid` is None unless it is DICOM, `good` False for one to refuse."""

    data: bytes
    kind: str
    sop_instance_uid: str | None = None
    good: bool = True

    @property
    def is_dicom(self) -> bool:
        return self.kind in ("dicom", "report", "torn dicom")

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.data).hexdigest()


def pictures(seed: int) -> Iterator[Picture]:
    """Radiographs without end: half DICOM, the rest PNG and JPEG; about one in twelve must be refused."""
    rng = random.Random(seed)
    bodies = [draw_phantom(style=style, rows=_ROWS, columns=_COLUMNS).pixels for style in PHANTOM_STYLES]
    noise = np.random.default_rng(seed)
    number = 0
    while True:
        number += 1
        pixels = _unlike_any_other(rng.choice(bodies), noise)
        uid = f"2.25.{seed}{number:08d}"
        yield _refused(rng, pixels, uid) if rng.random() < 0.08 else _good(rng, pixels, uid)


def _unlike_any_other(body: NDArray[Any], noise: np.random.Generator) -> NDArray[Any]:
    grain = noise.normal(0, 12, body.shape)
    return np.clip(body.astype(np.float64) + grain, 0, 4095).astype(np.uint16)


def _good(rng: random.Random, pixels: NDArray[Any], uid: str) -> Picture:
    kind = rng.choice(("dicom", "dicom", "png", "jpeg"))
    if kind == "dicom":
        return Picture(data=_dicom(pixels, uid), kind=kind, sop_instance_uid=f"{uid}.3")
    return Picture(data=_drawn(pixels, kind), kind=kind)


def _refused(rng: random.Random, pixels: NDArray[Any], uid: str) -> Picture:
    kind = rng.choice(("text", "torn png", "report", "torn dicom"))
    if kind == "text":
        return Picture(data=f"no radiograph {uid}".encode(), kind=kind, good=False)
    if kind == "torn png":
        return Picture(data=_drawn(pixels, "png")[:20] + uid.encode(), kind=kind, good=False)
    if kind == "torn dicom":
        return Picture(
            data=_dicom(pixels, uid)[: 150 + rng.randrange(40)] + uid.encode(), kind=kind, good=False
        )
    return Picture(data=_dicom(pixels, uid, Rows=None, Columns=None, PixelData=None), kind=kind, good=False)


def _dicom(pixels: NDArray[Any], uid: str, **tags: Any) -> bytes:
    return wrap(
        pixels,
        bits_stored=12,
        patient_id=f"FAULT-{uid[-8:]}",
        study_instance_uid=f"{uid}.1",
        series_instance_uid=f"{uid}.2",
        sop_instance_uid=f"{uid}.3",
        tags=tags,
    )


def _drawn(pixels: NDArray[Any], kind: str) -> bytes:
    made, coded = cv2.imencode(f".{kind}", (pixels >> 4).astype(np.uint8))
    assert made
    return coded.tobytes()
