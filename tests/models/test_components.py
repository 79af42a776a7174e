"""The directions in which most varies are those of the whole decomposition, whichever way they were found."""

from __future__ import annotations

import numpy as np
import pytest

from models.components import components
from models.preprocess import Float


def measured(rows: int, features: int, *, falls: float) -> Float:
    """Rows whose variance falls from one direction to the next as ``1 / number ** falls``."""
    draw = np.random.default_rng(1)
    turn = np.linalg.qr(draw.standard_normal((features, features)))[0]
    spread = np.arange(1, features + 1) ** (-falls / 2)
    return np.asarray((draw.standard_normal((rows, features)) * spread) @ turn, dtype=np.float32)


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """The Krylov space of as few features as a test can decompose."""
    monkeypatch.setattr("models.components._BLOCK", 24)
    monkeypatch.setattr("models.components._STEPS", 6)


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize(
    ("rows", "features", "falls"),
    [(120, 400, 1.0), (900, 400, 1.0), (900, 100, 1.0), (900, 400, 0.0)],
    ids=["fewer rows than features", "many features", "few features", "nothing stands out"],
)
def test_they_are_those_of_the_whole_decomposition(rows: int, features: int, falls: float) -> None:
    seen = measured(rows, features, falls=falls)
    values, vectors = components(seen, 20)
    every, whole = np.linalg.eigh(seen.T.astype(np.float64) @ seen / rows)
    assert values == pytest.approx(every[::-1][:20], rel=1e-3)
    assert np.abs(vectors.T @ vectors - np.eye(20)).max() < 1e-4
    # The twentieth may be mixed with the next; the first ten span what the first ten span.
    assert np.linalg.svd(whole[:, ::-1][:, :20].T @ vectors[:, :10])[1].min() > 0.999


def test_they_are_the_same_each_time() -> None:
    seen = measured(90, 40, falls=1.0)
    assert np.array_equal(components(seen, 9)[1], components(seen, 9)[1])
