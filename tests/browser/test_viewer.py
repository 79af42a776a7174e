"""The radiograph in a real browser: the right grey values first, then every tool on them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from app.blobs import Blobs
from app.dicom.write import wrap
from app.domain.roles import Role
from app.records.engine import transaction
from tests.browser.canvas import a_ramp, greys, open_study, settle, state
from tests.browser.conftest import SignIn
from tests.builders import (
    admit,
    an_admitted_study,
)


def preview_and_full_depth(page: Any, study_id: Any) -> tuple[np.ndarray, np.ndarray]:
    """What the canvas shows before and after the study's pixels have arrived."""
    held: list[Any] = []
    page.route("**/pixels", lambda route: held.append(route))  # noqa: PLW0108  (playwright marks the handler)
    page.goto(f"/studies/{study_id}")
    page.wait_for_selector("#viewer[data-state=preview]")
    settle(page)
    before = greys(page)
    for _ in range(200):
        if held:
            break
        page.wait_for_timeout(20)
    held[0].continue_()
    page.wait_for_selector("#viewer[data-state=full]")
    return before, greys(page)


def test_one_to_one_every_pixel_has_the_grey_that_dicom_defines(signed_in: SignIn, blobs: Blobs) -> None:
    with transaction() as session:
        admission = admit(session, blobs, a_ramp(WindowCenter=2000, WindowWidth=1000))
    page = open_study(signed_in("alice", Role.RADIOLOGIST), admission.study_id)
    page.keyboard.press("a")
    settle(page)
    assert state(page, "scale") == "1"
    shown = greys(page)
    height, width, _ = shown.shape
    row = shown[height // 2, width // 2 - 200 : width // 2 + 200]
    assert (row[:, 0] == row[:, 1]).all()
    assert (row[:, 1] == row[:, 2]).all()
    values = np.arange(400) * 10
    # PS3.3 C.11.2.1.2.1 with c = 2000, w = 1000
    expected = np.clip(((values - 1999.5) / 999 + 0.5), 0, 1) * 255
    # A viewport of odd width puts half a pixel's shift into the picture: find it, then demand exactness.
    differences = [np.abs(np.roll(row[:, 0], shift)[5:-5] - expected[5:-5]).max() for shift in (-1, 0, 1)]
    assert min(differences) <= 1.5


def test_monochrome1_is_shown_with_its_lowest_value_white(signed_in: SignIn, blobs: Blobs) -> None:
    with transaction() as session:
        ramp = a_ramp(WindowCenter=2000, WindowWidth=4000, photometric="MONOCHROME1")
        admission = admit(session, blobs, ramp)
    shown = greys(open_study(signed_in("alice", Role.RADIOLOGIST), admission.study_id))
    row = shown[shown.shape[0] // 2, :, 0]
    inside = row[row.shape[0] // 4 : -row.shape[0] // 4]
    assert inside[0] > 150
    assert inside[-1] < 105
    assert (np.diff(inside) <= 0).all()


def test_the_preview_becomes_the_full_image_without_a_jump(signed_in: SignIn, blobs: Blobs) -> None:
    admission = an_admitted_study(blobs, rows=1600, columns=1350)
    before, after = preview_and_full_depth(signed_in("alice", Role.RADIOLOGIST), admission.study_id)
    assert before.shape == after.shape
    lit = before.max(axis=2) > 20
    assert lit.mean() > 0.3
    # The same picture in the same place; what differs is the preview's compression and its smaller size.
    assert np.abs(before - after).mean() < 4
    shifted = np.abs(before[:, :-8] - after[:, 8:]).mean()
    assert shifted > 2 * np.abs(before - after).mean()


@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
def test_an_image_whose_window_shows_nothing_stays_as_its_preview_shows_it(
    signed_in: SignIn, blobs: Blobs, photometric: str
) -> None:
    with transaction() as session:
        ramp = a_ramp(WindowCenter=40000, WindowWidth=10, photometric=photometric)
        admission = admit(session, blobs, ramp)
    page = signed_in("alice", Role.RADIOLOGIST)
    before, after = preview_and_full_depth(page, admission.study_id)
    assert after.std() > 50
    # The preview's compression, and half a percent at each end.
    assert np.abs(before - after).mean() < 2
    names = page.locator("select[data-presets] option").all_inner_texts()
    assert names[:3] == ["Middle 99 %", "As sent", "1 to 99 %"]
    page.select_option("select[data-presets]", label="As sent")
    sent = greys(page)
    height, width, _ = sent.shape
    assert sent[height // 2, width // 4 : -width // 4].std() == 0
    page.keyboard.press("r")
    assert (greys(page) == after).all()


def test_a_picture_made_smaller_has_no_padding_in_its_means(signed_in: SignIn, blobs: Blobs) -> None:
    pixels = np.full((2001, 2001), 1000, np.uint16)
    pixels[:, ::2] = 4000  # beside every pixel of the picture lies one of padding
    pixels[:, 1001:] = 4000
    tags = {"WindowCenter": 2000, "WindowWidth": 4000, "PixelPaddingValue": 4000}
    with transaction() as session:
        admission = admit(session, blobs, wrap(pixels, bits_stored=12, tags=tags))
    page = open_study(signed_in("alice", Role.RADIOLOGIST), admission.study_id)
    assert float(state(page, "scale")) <= 0.5
    shown = greys(page)[:, :, 0]
    picture = shown[shown.shape[0] // 2][shown[shown.shape[0] // 2] > 5]
    middle = shown[shown.shape[0] // 2, shown.shape[1] // 2 - 20]
    # PS3.3 C.11.2.1.2.1 with c = 2000, w = 4000; at its edges the picture goes over into black.
    assert middle == pytest.approx(255 * ((1000 - 1999.5) / 3999 + 0.5), abs=1.5)
    assert picture.max() == middle
    assert (shown[:, shown.shape[1] // 2 + 20 :] == 0).all(), "where all is padding it stays black"
