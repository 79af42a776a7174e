"""The heat map that is made on request, in a browser: asked for with a key, made by a worker, drawn."""

from __future__ import annotations

import numpy as np

from app.blobs import Blobs
from app.domain.roles import Role
from tests.browser.canvas import greys, open_study
from tests.browser.conftest import SignIn
from tests.explainable import OCCLUSION_PASSED, a_read_image, stored_bundle


def test_the_key_has_the_map_made_once_and_says_what_it_means(
    signed_in: SignIn, looking: None, blobs: Blobs
) -> None:
    study, _, _ = a_read_image(blobs, stored_bundle(blobs), explanations=OCCLUSION_PASSED)
    page = open_study(signed_in("alice", Role.RADIOLOGIST), study)
    asked: list[str] = []
    page.on(
        "request", lambda request: asked.append(request.method) if "occlusion-map" in request.url else None
    )
    without = greys(page)
    assert asked == [], "nothing is asked for before the reader wants it"
    page.keyboard.press("h")
    page.wait_for_selector("#viewer[data-heat=true]", timeout=60_000)
    assert asked.count("POST") == 1
    words = page.locator("[data-heat-legend]").inner_text()
    assert "average healthy child" in words
    assert "does not outline disease" in words
    assert np.abs(greys(page).astype(float) - without).max() > 10
    page.keyboard.press("h")
    assert (greys(page) == without).all()
    page.keyboard.press("h")
    page.wait_for_selector("#viewer[data-heat=true]")
    page.reload()
    page.wait_for_selector("#viewer[data-state=full]")
    page.keyboard.press("h")
    page.wait_for_selector("#viewer[data-heat=true]")
    assert asked.count("POST") == 1, "it is there already"
