"""The few directions in which most of what was measured varies."""

from __future__ import annotations

import numpy as np

from models.preprocess import Float

_BLOCK = 128
_STEPS = 12
_RESIDUAL = 0.02
"""Of the least value asked for: if a vector misses by more, the whole matrix is decomposed."""


def components(measured: Float, count: int) -> tuple[Float, Float]:
    """The largest eigenvalues of ``measured.T @ measured / n``, at most ``count``, the largest first, and
    their vectors (features, count), for ``measured`` (n, features).

    All of them would take ten times as long. With fewer rows than features the products of the rows have the
    same ones; of many features those that matter lie in the Krylov space of a random block, as in Golub and
    Underwood, "The block Lanczos method for computing eigenvalues" (1977).
    """
    rows, features = measured.shape
    if rows < features:
        values, left = np.linalg.eigh(measured @ measured.T / rows)
        values, left = values[::-1][:count], left[:, ::-1][:, :count]
        return values, measured.T @ left / np.sqrt(rows * np.maximum(values, np.finfo(np.float32).tiny))
    products = measured.T @ measured / rows
    if features > 2 * _BLOCK * _STEPS and count <= _BLOCK * _STEPS // 4:
        values, vectors = _leading(products, count)
        missed = np.linalg.norm(products @ vectors - vectors * values, axis=0).max()
        if missed < _RESIDUAL * values[-1]:
            return values, vectors
    values, vectors = np.linalg.eigh(products)
    return values[::-1][:count], vectors[:, ::-1][:, :count]


def _leading(products: Float, count: int) -> tuple[Float, Float]:
    """Ritz values and vectors of a symmetric matrix on the Krylov space of a block drawn from one seed."""
    size = len(products)
    block = np.random.default_rng(0).standard_normal((size, _BLOCK), dtype=np.float32)
    basis: Float = np.linalg.qr(block)[0]
    images: Float = products @ basis
    for _ in range(_STEPS - 1):
        new = images[:, -_BLOCK:]
        for _ in range(2):  # once leaves what single precision has rounded
            new = new - basis @ (basis.T @ new)
        new = np.linalg.qr(new)[0]
        basis, images = np.hstack([basis, new]), np.hstack([images, products @ new])
    values, turn = np.linalg.eigh(basis.T @ images)
    return values[::-1][:count], basis @ turn[:, ::-1][:, :count]
