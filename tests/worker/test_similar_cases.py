"""From the radiograph to the case: the worker stores what the network makes of it, and somebody signs."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
from sqlalchemy import select

from app.blobs import Blobs
from app.domain.roles import SYSTEM
from app.queries import similar
from app.records import ImageReading
from app.records.engine import transaction
from models.phantom import phantom
from tests.builders import admit, sign
from tests.models.conftest import Trained, drawn, trained  # noqa: F401, fixtures
from worker.screener import Screener


def a_drawn_chest(seed: int) -> bytes:
    """A PNG like those the bundle was trained on, and none of them; with an opacity where `seed` is odd."""
    return cv2.imencode(".png", phantom(seed, rows=348, columns=288, opacity=seed % 2 == 1))[1].tobytes()


def test_a_screened_radiograph_is_found_by_the_next_that_is_like_it(
    trained: Trained,  # noqa: F811
    configure: Callable[..., None],
    make_screener: Callable[[], Screener],
    blobs: Blobs,
) -> None:
    configure(bundle=trained.path)
    with transaction() as session:
        first, second = (admit(session, blobs, a_drawn_chest(seed)).study_id for seed in (901, 902))
    assert make_screener().drain() == 2
    with transaction() as session:
        kept = session.scalars(select(ImageReading.embedding)).all()
    assert [len(embedding) for embedding in kept if embedding is not None] == [128, 128]
    assert np.allclose(np.linalg.norm(np.asarray(kept), axis=1), 1, atol=2e-3)
    sign(first)
    with transaction() as session:
        [case] = similar.similar(session, study_id=second, size=8, to=SYSTEM).cases
    assert case.study_id == first
    assert abs(case.likeness - float(np.dot(*np.asarray(kept)))) < 2e-3
