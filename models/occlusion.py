"""The occlusion map: how much the network's score rests on each part of one picture.

After Zeiler and Fergus, "Visualizing and Understanding Convolutional Networks" (ECCV 2014): a part of the
picture is hidden and the score is followed. What hides it here is the same place of a healthy chest, laid
over this one's thorax, because a blank would itself look ill to the network. And since much of what speaks
for a finding is said twice in a picture, each part is also shown alone within that healthy chest.

Imports no torch: it runs on what a bundle carries, through the runtime that serves it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from models.bundle_file import HEALTHY_CHEST, read_bundle
from models.layers import ImageRefused
from models.manifest import BundleRefused, Manifest
from models.pixel_gate import refuse_shape, stance
from models.preprocess import Float, squash, standardise
from models.runtime import LARGEST_BATCH, Look, Runtime, start
from models.sentence import sentence
from models.thorax import OUTLINE, Picture, Thorax, find_thorax, laid_over

__all__ = ["BundleRefused", "ImageRefused", "Occlusion", "occlude", "occlusion_map"]

CELLS = 5
"""Rows and columns of the map."""
WINDOW = 0.25
"""Side of the part that is exchanged for a cell, as a share of the picture's; neighbours overlap a little
(`docs/training.md` tells what else was tried)."""
_SOFT = 0.02
"""Standard deviation of its edge, as a share of the side: a sharp edge is a finding of its own."""

Logit = Callable[[Float], NDArray[np.float64]]
"""Logits (n,) of prepared pictures (n, 1, side, side)."""


@dataclass(frozen=True)
class Occlusion:
    """What came of one image."""

    finding: str
    cells: Float
    """(CELLS, CELLS), in units of the logit: how far it falls when this part alone is healthy, and how far it
    rises when this part alone is as it is, each brought to the scale between the two. No sum of anything.
    """
    logit: float
    """Of the picture as it is."""
    runtime: str


def occlude(path: Path, image: NDArray[np.uint8] | NDArray[np.uint16], *, threads: int = 1) -> Occlusion:
    """The map of the bundle's first finding for an image, uint8 or uint16 (rows, columns), bone bright.

    On a processor. Raises BundleRefused for a bundle that must not be used or carries no healthy chest, and
    ImageRefused for an image of which it makes no map.
    """
    refused = refuse_shape(*image.shape)
    if refused is not None:
        raise ImageRefused(refused)
    members, manifest = read_bundle(path)
    if HEALTHY_CHEST not in members:
        raise BundleRefused("The bundle carries no healthy chest to put in the place of what is hidden.")
    runtime = start(members, manifest, device="cpu", threads=threads)
    square = squash(image, side=manifest.input_size)
    picture = standardise(square)
    if _inverted(runtime.look(picture[None, None]), manifest):
        picture, square = -picture, square.max() - square  # as `models.bundle` reads it
    logit = logits_of(runtime, manifest)
    healthy = healthy_on(healthy_chest(members[HEALTHY_CHEST]), find_thorax(_as_grey(square)))
    cells = occlusion_map(picture, healthy, logit)
    said = float(logit(picture[None, None])[0])
    if not (np.isfinite(cells).all() and np.isfinite(said)):
        raise ImageRefused(sentence("The network gave no finite answer for this image."))
    return Occlusion(manifest.findings[0].name, cells, said, runtime.name)


def occlusion_map(picture: Float, healthy: Float, logit: Logit) -> Float:
    """Float32 (CELLS, CELLS) of a prepared picture (side, side) and the healthy chest laid over it."""
    said = logit(exchanged(picture, healthy))
    return np.asarray(from_logits(said[:, None])[0], dtype=np.float32)


def exchanged(picture: Float, healthy: Float) -> Float:
    """What the network is asked, float32 (2 + 2 * CELLS**2, 1, side, side): the picture, the healthy chest,
    the picture with each part healthy, and the healthy chest with each part of the picture.
    """
    parts = windows(picture.shape[0])
    own, other = picture + parts * (healthy - picture), healthy + parts * (picture - healthy)
    return np.concatenate([picture[None], healthy[None], own, other])[:, None].astype(np.float32)


def from_logits(said: NDArray[np.floating]) -> Float:
    """Maps (n, CELLS, CELLS) from the logits (2 + 2 * CELLS**2, n) of what `exchanged` asks.

    A part alone often raises the score several times as far as taking it away lets it fall: what is said
    twice is not missed. Plainly added, the falls would not count.
    """
    cells = CELLS**2
    falls, rises = said[0] - said[2 : 2 + cells], said[2 + cells :] - said[1]
    sizes = [np.sqrt((one**2).mean(axis=0)) for one in (falls, rises)]
    between = np.sqrt(sizes[0] * sizes[1])
    tiny = np.finfo(np.float32).tiny
    both = falls / np.maximum(sizes[0], tiny) + rises / np.maximum(sizes[1], tiny)
    return np.asarray((both * between / 2).T.reshape(-1, CELLS, CELLS), dtype=np.float32)


@cache
def windows(side: int) -> Float:
    """How much of each point belongs to each part, (CELLS**2, side, side), 0 to 1; rows from the top."""
    middles = (np.arange(CELLS) + 0.5) / CELLS
    across = (np.arange(side) + 0.5) / side
    inside = (np.abs(across[None] - middles[:, None]) <= WINDOW / 2).astype(np.float32)
    drawn = [
        cv2.GaussianBlur(down[:, None] * right, (0, 0), _SOFT * side, borderType=cv2.BORDER_REPLICATE)
        for down in inside
        for right in inside
    ]
    return np.asarray(np.stack(drawn), dtype=np.float32)


def healthy_chest(png: bytes) -> Float:
    """The healthy chest of a bundle as the network would take it, (side, side), where the atlas's chest lies.
    Raises BundleRefused.
    """
    stored = cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_GRAYSCALE)
    if stored is None or stored.shape[0] != stored.shape[1]:
        raise BundleRefused("The bundle's healthy chest is no picture; the bundle cannot explain itself.")
    return standardise(stored.astype(np.float32))


def healthy_on(healthy: Float, thorax: Thorax | None) -> Float:
    """The healthy chest laid over a thorax; as it is where none was found."""
    return healthy if thorax is None else laid_over(healthy, its=Thorax(OUTLINE, 1.0), on=thorax)


def logits_of(runtime: Runtime, manifest: Manifest) -> Logit:
    """Logits of the first finding through a runtime, in batches."""
    bias = manifest.findings[0].bias

    def logit(pictures: Float) -> NDArray[np.float64]:
        maps = [
            runtime.look(pictures[at : at + LARGEST_BATCH]).maps[:, 0]
            for at in range(0, len(pictures), LARGEST_BATCH)
        ]
        return np.asarray(np.concatenate(maps).sum(axis=(1, 2), dtype=np.float64) + bias)

    return logit


def _inverted(look: Look, manifest: Manifest) -> bool:
    return stance(look.appearances[0], manifest.appearance.get("limits", {})).inverted


def _as_grey(square: Float) -> Picture:
    highest = max(float(square.max()), 255.0)
    return np.asarray(np.clip(np.round(square * (255 / highest)), 0, 255), dtype=np.uint8)
