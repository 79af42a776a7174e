"""Datasets for tests: drawn chests of two classes, and a bundle that takes drawings for chests."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from app.blobs import Blobs
from app.commands import registry
from app.domain.roles import SYSTEM
from app.records.engine import transaction
from models.bundle import default_bundle_path
from models.bundle_file import MANIFEST, unseal
from models.phantom import phantom
from tests.models.conftest import resealed

SIDE = 160


def png(seed: int, *, opacity: bool) -> bytes:
    """One drawn chest, as unlike the next as two children are: its soft parts are its own."""
    soft = np.random.default_rng(seed).normal(0, 1, (8, 8)).astype(np.float32)
    field = cv2.resize(soft, (SIDE, SIDE), interpolation=cv2.INTER_CUBIC)
    picture = phantom(seed, rows=SIDE, columns=SIDE, opacity=opacity) + 16 * field
    return cv2.imencode(".png", np.clip(picture, 0, 255).astype(np.uint8))[1].tobytes()


def drawn_chests(*, each: int, first: int = 0) -> dict[str, bytes]:
    """`each` PNG of NORMAL (patient0 and on) and of PNEUMONIA (patient500 and on), by path."""
    return {
        f"{label}/patient{number}.png": png(number, opacity=begins > 0)
        for label, begins in (("NORMAL", 0), ("PNEUMONIA", 500))
        for number in range(begins + first, begins + first + each)
    }


def reads_drawings(blobs: Blobs, folder: Path, *, lanes: bool = True) -> None:
    """The shipped bundle without its gate for pixels reads at this site; or without its cuts, too, which a
    few hundred drawings are too few to find anew.
    """
    changes: dict[str, Any] = {"familiarity": {}, "appearance": {}}
    members, _ = unseal(default_bundle_path())
    if not lanes:
        cuts = json.loads(members[MANIFEST])["thresholds"]
        changes["thresholds"] = {name: of | {"rule_in": None, "rule_out": None} for name, of in cuts.items()}
    path = resealed(default_bundle_path(), folder / "open.bundle", **changes)
    members, _ = unseal(path)
    sha256 = blobs.put(path.read_bytes())
    with transaction() as session:
        registry.register(session, sha256=sha256, manifest=json.loads(members[MANIFEST]), by=SYSTEM)
        registry.promote(session, sha256=sha256, by=SYSTEM, reason="test")
