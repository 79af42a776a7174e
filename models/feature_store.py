"""Frozen features kept from one training to the next, by what they are the features of."""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from pathlib import Path
from uuid import uuid4

import numpy as np

from models.network import FEATURES
from models.preprocess import Float

_MOST_FILES = 24
"""With more, they become one."""


class FeatureStore:
    """Features of one network, float32 (1280,), by a key of 32 bytes that names the picture; in files of a
    folder, or in memory alone where there is none.

    A file that is damaged or of another make counts as empty: what it held is computed again.
    """

    def __init__(self, folder: Path | None, *, network: str) -> None:
        self._folder, self._network = folder, network
        self._keys: dict[bytes, int] = {}
        self._features: list[Float] = []
        self._count = 0
        self._all: Float | None = None
        for path in self._files():
            keys, features = _read(path)
            self._take(keys, features)

    def __contains__(self, key: bytes) -> bool:
        return key in self._keys

    def of(self, keys: Sequence[bytes]) -> Float:
        """Features, float32 (n, 1280), of keys that are all there."""
        if self._all is None:
            none = np.empty((0, FEATURES), np.float32)
            self._all = np.concatenate([none, *self._features])
            self._features = [self._all]
        return self._all[[self._keys[key] for key in keys]]

    def add(self, keys: Sequence[bytes], features: Float) -> None:
        """Keep these too, on the disk where there is a folder: in a file of their own, which is whole or is
        not there.
        """
        if not keys:
            return
        self._take(list(keys), features)
        if self._folder is None:
            return
        before = self._files()
        if len(before) >= _MOST_FILES:
            everything = list(self._keys)
            self._write(everything, self.of(everything))
            for path in before:
                path.unlink(missing_ok=True)
        else:
            self._write(keys, features)

    def _take(self, keys: Sequence[bytes], features: Float) -> None:
        self._keys |= {key: self._count + at for at, key in enumerate(keys)}
        self._features.append(features)
        self._count += len(features)
        self._all = None

    def _files(self) -> list[Path]:
        return [] if self._folder is None else sorted(self._folder.glob(f"{self._network}*.npz"))

    def _write(self, keys: Sequence[bytes], features: Float) -> None:
        assert self._folder is not None
        self._folder.mkdir(parents=True, exist_ok=True)
        path = self._folder / f"{self._network}.{uuid4().hex[:16]}.npz"
        unfinished = path.with_name(f".{path.name}.unfinished")
        try:
            with unfinished.open("wb") as file:
                listed = np.frombuffer(b"".join(keys), np.uint8).reshape(-1, 32)
                np.savez(file, keys=listed, features=features)
            unfinished.replace(path)
        finally:
            unfinished.unlink(missing_ok=True)


def _read(path: Path) -> tuple[list[bytes], Float]:
    try:
        with np.load(path, allow_pickle=False) as kept:
            keys, features = kept["keys"], kept["features"]
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return [], np.empty((0, FEATURES), np.float32)
    if keys.shape != (len(features), 32) or features.shape[1:] != (FEATURES,):
        return [], np.empty((0, FEATURES), np.float32)
    return [key.tobytes() for key in keys], features
