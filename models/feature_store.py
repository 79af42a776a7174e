"""Frozen features kept from one training to the next, by what they are the features of."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from models.network import FEATURES
from models.preprocess import Float


class FeatureStore:
    """Features of one network, float32 (1280,), by a key of 32 bytes that names the picture; in one file of a
    folder, or in memory alone where there is none.

    A file that is damaged or of another make counts as empty: what it held is computed again.
    """

    def __init__(self, folder: Path | None, *, network: str) -> None:
        self._path = None if folder is None else folder / f"{network}.npz"
        self._keys: dict[bytes, int] = {}
        self._features: Float = np.empty((0, FEATURES), np.float32)
        if self._path is not None and self._path.is_file():
            try:
                with np.load(self._path, allow_pickle=False) as kept:
                    keys, features = kept["keys"], kept["features"]
            except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
                return
            if keys.shape == (len(features), 32) and features.shape[1:] == (FEATURES,):
                self._keys = {key.tobytes(): at for at, key in enumerate(keys)}
                self._features = features

    def __contains__(self, key: bytes) -> bool:
        return key in self._keys

    def of(self, keys: Sequence[bytes]) -> Float:
        """Features, float32 (n, 1280), of keys that are all there."""
        return self._features[[self._keys[key] for key in keys]]

    def add(self, keys: Sequence[bytes], features: Float) -> None:
        """Keep these too, on the disk where there is a folder; the file is replaced whole."""
        if not keys:
            return
        self._keys |= {key: len(self._features) + at for at, key in enumerate(keys)}
        self._features = np.concatenate([self._features, features])
        if self._path is None:
            return
        self._path.parent.mkdir(parents=True, exist_ok=True)
        unfinished = self._path.with_name(f".{self._path.name}.{os.getpid()}")
        try:
            with unfinished.open("wb") as file:
                listed = np.frombuffer(b"".join(self._keys), np.uint8).reshape(-1, 32)
                np.savez(file, keys=listed, features=self._features)
            unfinished.replace(self._path)
        finally:
            unfinished.unlink(missing_ok=True)
