"""Quick training: a head on frozen features, and where thorough training starts."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from models.augment import DRAWING_VERSION, training_picture
from models.dataset import Labelled
from models.epoch import lending
from models.feature_store import FeatureStore
from models.features import FrozenFeatures, fit_head
from models.network import Network
from models.preprocess import PREPROCESSING_VERSION, Float
from models.sentence import sentence
from models.stress import network_input

COPIES = 2
"""Hard drawings of every picture beside the picture as it is, at most."""
HARD = 2500
"""So many hard drawings in all are enough, or half as many as there are pictures."""
_KEPT_TOGETHER = 1536
"""Features that are written to the disk at once: so many are lost when a training is killed."""

Report = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Drawn:
    """A picture to be drawn: which, in which copy (0 is as it is), and from which pictures it may borrow."""

    image: int
    copy: int
    lenders: tuple[int, ...]
    key: bytes
    """Names picture, copy and lenders by their pixels: what is drawn depends on nothing else."""


class KeptFeatures:
    """Features of pictures by one network, frozen; those that are in the folder ``cache`` are not computed
    again.
    """

    def __init__(self, network: Network, *, side: int, threads: int, cache: Path | None = None) -> None:
        self._network, self._side, self._threads = network, side, threads
        self._store = FeatureStore(cache, network=features_name(network, side=side))
        self._frozen: FrozenFeatures | None = None

    def of(self, data: Labelled, drawings: Sequence[Drawn], *, report: Report = lambda *_: None) -> Float:
        """Features, float32 (n, 1280), of the drawings of the data's pictures; kept as they come."""
        missing = [drawn for drawn in drawings if drawn.key not in self._store]
        done = len(drawings) - len(missing)
        report(sentence("Features"), done, len(drawings))

        def on_images(count: int) -> None:
            nonlocal done
            done += count
            report(sentence("Features"), done, len(drawings))

        if missing and self._frozen is None:
            self._frozen = FrozenFeatures(self._network, side=self._side, threads=self._threads)
        for first in range(0, len(missing), _KEPT_TOGETHER):
            some = missing[first : first + _KEPT_TOGETHER]
            assert self._frozen is not None
            self._store.add([drawn.key for drawn in some], _features(self._frozen, data, some, on_images))
        return self._store.of([drawn.key for drawn in drawings])

    def as_they_are(self, data: Labelled, *, report: Report = lambda *_: None) -> Float:
        """Features, float32 (n, 1280), of every picture as it is."""
        return self.of(data, plain_drawings(data), report=report)


def fit_quick(
    network: Network,
    data: Labelled,
    *,
    seed: int,
    threads: int,
    cache: Path | None = None,
    report: Report = lambda *_: None,
) -> KeptFeatures:
    """Give the network's head the best weights for its own features, frozen, of every picture as it is and in
    some hard copies; returns those features, from which more can be asked.

    What a copy borrows from follows from the pixels, so that further images leave nearly all others as they
    were; features in the ``cache`` are not computed again.
    """
    kept = KeptFeatures(network, side=data.images.shape[1], threads=threads, cache=cache)
    drawings = drawings_of(data, seed=seed)
    features = kept.of(data, drawings, report=report)
    _give_head(network, features, data.labels[[drawn.image for drawn in drawings]])
    return kept


def plain_drawings(data: Labelled) -> list[Drawn]:
    """Every picture as it is."""
    return [
        Drawn(at, 0, (), hashlib.sha256(image.tobytes()).digest()) for at, image in enumerate(data.images)
    ]


def drawings_of(data: Labelled, *, seed: int) -> list[Drawn]:
    """Every picture as it is and in its hard copies, which borrow from one with the finding and one without:
    those whose hash comes next to one drawn for the copy. Which have copies follows from the pixels, too.
    """
    drawings = plain_drawings(data)
    hashes = [drawn.key for drawn in drawings]
    circles = [
        sorted((hashes[at], int(at)) for at in np.flatnonzero((data.labels[:, 0] > 0.5) == present))
        for present in (True, False)
    ]
    copies = [
        (hashlib.sha256(f"{seed} {copy} ".encode() + own).digest(), at, copy)
        for copy in range(1, 1 + COPIES)
        for at, own in enumerate(hashes)
    ]
    for drawn, at, copy in sorted(copies)[: max(HARD, len(hashes) // 2)]:
        lenders = tuple(_next(circle, drawn) for circle in circles if circle)
        whole = hashlib.sha256(drawn + b"".join(hashes[lender] for lender in lenders)).digest()
        drawings.append(Drawn(at, copy, lenders, whole))
    return drawings


def _next(circle: Sequence[tuple[bytes, int]], drawn: bytes) -> int:
    """The image whose hash follows the drawn one, round the circle."""
    low, high = 0, len(circle)
    while low < high:
        middle = (low + high) // 2
        low, high = (middle + 1, high) if circle[middle][0] < drawn else (low, middle)
    return circle[low % len(circle)][1]


def _features(
    frozen: FrozenFeatures, data: Labelled, wanted: Sequence[Drawn], on_images: Callable[[int], None]
) -> Float:
    """Features of the drawings, float32 (n, 1280); drawing goes on beside the network."""

    def picture(drawn: Drawn) -> Float:
        image = data.images[drawn.image]
        if drawn.copy == 0:
            asis: Float = network_input(image[None])[0, 0]
            return asis
        draw = np.random.default_rng(np.frombuffer(drawn.key, np.uint32))
        drawing: Float = training_picture(image, data.images[list(drawn.lenders)], draw)
        return drawing

    return frozen.of(
        lambda first, last: np.stack([picture(drawn) for drawn in wanted[first:last]])[:, None],
        len(wanted),
        on_images=on_images,
    )


def features_name(network: Network, *, side: int) -> str:
    """What decides the features of a picture beside the picture itself."""
    weights = hashlib.sha256(f"{PREPROCESSING_VERSION} {DRAWING_VERSION} {side}".encode())
    for name, tensor in network.state_dict().items():
        if not name.startswith("head."):
            weights.update(name.encode() + tensor.detach().contiguous().numpy().tobytes())
    return weights.hexdigest()[:32]


def fit_frozen(
    network: Network,
    data: Labelled,
    *,
    seed: int,
    threads: int,
    report: Report = lambda *_: None,
) -> None:
    """The same for thorough training to start from, drawn as `models.epoch` draws: so that the training of
    a bundle can be repeated.
    """
    frozen = FrozenFeatures(network, side=data.images.shape[1], threads=threads)
    total = len(data) * (1 + COPIES)
    done = 0

    def on_images(count: int) -> None:
        nonlocal done
        done += count
        report(sentence("Frozen features"), done, total)

    def prepared(copy: int) -> Callable[[int, int], Float]:
        def batch(first: int, last: int) -> Float:
            if copy == 0:
                return network_input(data.images[first:last])
            draws = [np.random.default_rng((seed, copy, index)) for index in range(first, last)]
            lenders = data.images[lending(data.labels[:, 0], np.random.default_rng((seed, copy, first)))]
            pictures = [
                training_picture(image, lenders, draw)
                for image, draw in zip(data.images[first:last], draws, strict=True)
            ]
            return np.stack(pictures)[:, None]

        return batch

    features = np.concatenate(
        [frozen.of(prepared(copy), len(data), on_images=on_images) for copy in range(1 + COPIES)]
    )
    _give_head(network, features, np.tile(data.labels, (1 + COPIES, 1)))


def _give_head(network: Network, features: Float, labels: NDArray[np.float32]) -> None:
    weight, bias = fit_head(features, labels)
    with torch.no_grad():
        network.head.weight.copy_(torch.from_numpy(weight))
        network.head.bias.copy_(torch.from_numpy(bias))
