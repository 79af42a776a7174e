"""The tools of the viewer: windows, zoom, turns, the heat map and other images, on any screen, and fast."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from app.blobs import Blobs
from app.domain.roles import Role
from app.records.engine import transaction
from tests.browser.canvas import a_ramp, drag, greys, middle, open_study, settle, state
from tests.browser.conftest import SignIn
from tests.builders import (
    a_dicom,
    a_screened_study,
    a_study_with_a_lateral,
    admit,
    an_admitted_study,
)


def test_dragging_changes_window_and_level_and_reset_returns(signed_in: SignIn, blobs: Blobs) -> None:
    admission = a_screened_study(blobs)
    page = open_study(signed_in("alice", Role.RADIOLOGIST), admission.study_id)
    first, window = greys(page), state(page, "window")
    center, width = (float(part) for part in window.split(","))
    drag(page, 0, 80)
    darker = greys(page)
    assert float(state(page, "window").split(",")[0]) > center
    assert darker.mean() < first.mean() - 5
    drag(page, 120, 0)
    assert float(state(page, "window").split(",")[1]) > width
    assert page.locator("select[data-presets]").input_value() == "-1"
    page.keyboard.press("r")
    assert state(page, "window") == window
    assert (greys(page) == first).all()


def test_presets_are_the_headers_own_windows_and_percentiles(signed_in: SignIn, blobs: Blobs) -> None:
    windows = {
        "WindowCenter": [2000, 1000],
        "WindowWidth": [4000, 500],
        "WindowCenterWidthExplanation": ["STANDARD", "LUNG"],
    }
    with transaction() as session:
        admission = admit(session, blobs, a_ramp(**windows))
    page = open_study(signed_in("alice", Role.RADIOLOGIST), admission.study_id)
    offered = page.locator("select[data-presets] option").all_inner_texts()
    assert offered[:2] == ["STANDARD", "LUNG"]
    assert {"1 to 99 %", "Lungs", "Dense", "Full range"} <= set(offered)
    page.select_option("select[data-presets]", label="LUNG")
    assert state(page, "window") == "1000,500"
    page.select_option("select[data-presets]", label="Full range")
    assert state(page, "window") == "1995,3990"


@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
@pytest.mark.parametrize("slope", [1, -1])
def test_lungs_are_the_dark_part_whichever_way_polarity_and_slope_run(
    signed_in: SignIn, blobs: Blobs, photometric: str, slope: int
) -> None:
    tags = {"RescaleSlope": slope, "RescaleIntercept": 0, "WindowCenter": 2000 * slope, "WindowWidth": 4000}
    with transaction() as session:
        admission = admit(session, blobs, a_ramp(photometric=photometric, **tags))
    page = open_study(signed_in("alice", Role.RADIOLOGIST), admission.study_id)
    brightness = {}
    for name in ("Lungs", "Dense"):
        page.select_option("select[data-presets]", label=name)
        shown = greys(page)
        brightness[name] = shown[shown.shape[0] // 2].mean()
    assert brightness["Lungs"] > brightness["Dense"] + 20, "bright is white in the window of what is dark"


def test_wheel_zooms_about_the_pointer_and_pan_moves(signed_in: SignIn, blobs: Blobs) -> None:
    admission = a_screened_study(blobs)
    page = open_study(signed_in("alice", Role.RADIOLOGIST), admission.study_id)
    fitted = float(state(page, "scale"))
    x, y = middle(page)
    page.mouse.move(x, y)
    page.mouse.wheel(0, -400)
    page.wait_for_function(f"() => Number(document.getElementById('viewer').dataset.scale) > {fitted}")
    zoomed = greys(page)
    drag(page, 60, 40, button="middle")
    panned = greys(page)
    moved = np.abs(zoomed[100:-140, 100:-160] - panned[140:-100, 160:-100]).mean()
    stayed = np.abs(zoomed[100:-140, 100:-160] - panned[100:-140, 100:-160]).mean()
    assert moved < stayed / 2
    page.keyboard.press("p")
    assert page.get_attribute("#viewer canvas", "data-tool") == "pan"
    drag(page, -60, -40)
    assert np.abs(greys(page) - zoomed).mean() < 1
    page.locator("#viewer canvas").dblclick()
    assert float(state(page, "scale")) == fitted


def test_invert_turn_and_mirror(signed_in: SignIn, blobs: Blobs) -> None:
    admission = a_screened_study(blobs)
    page = open_study(signed_in("alice", Role.RADIOLOGIST), admission.study_id)
    first = greys(page)
    page.keyboard.press("i")
    assert state(page, "invert") == "true"
    inverted = greys(page)
    inside = np.s_[200:400, first.shape[1] // 2 - 100 : first.shape[1] // 2 + 100]
    assert np.abs(255 - first[inside] - inverted[inside]).max() <= 1
    page.keyboard.press("i")
    page.keyboard.press("m")
    mirrored = greys(page)
    assert np.abs(first[:, ::-1] - mirrored).mean() < 1.5
    page.keyboard.press("m")
    page.keyboard.press("t")
    turned = greys(page)
    assert np.abs(turned - first).mean() > 5
    for _ in range(3):
        page.keyboard.press("t")
    assert np.abs(greys(page) - first).mean() < 0.5


def test_a_picture_that_is_not_as_it_was_sent_says_so(signed_in: SignIn, blobs: Blobs) -> None:
    page = open_study(signed_in("alice", Role.RADIOLOGIST), a_screened_study(blobs).study_id)
    altered = page.locator("#viewer [data-altered]")
    assert altered.inner_text() == ""
    for key, words in (
        ("m", ["Mirrored"]),
        ("t", ["Mirrored", "Turned by 90°"]),
        ("i", ["Mirrored", "Turned by 90°", "Inverted"]),
        ("m", ["Turned by 90°", "Inverted"]),
        ("r", []),
    ):
        page.keyboard.press(key)
        settle(page)
        assert altered.inner_text().split("\n") == (words or [""])


def test_the_heat_map_is_off_until_asked_for_and_says_what_it_means(signed_in: SignIn, blobs: Blobs) -> None:
    admission = a_screened_study(blobs)
    page = open_study(signed_in("alice", Role.RADIOLOGIST), admission.study_id)
    without = greys(page)
    assert state(page, "heat") == "false"
    assert not page.locator("[data-heat-legend]").is_visible()
    page.keyboard.press("h")
    assert state(page, "heat") == "true"
    assert "does not outline disease" in page.locator("[data-heat-legend]").inner_text()
    coloured = greys(page)
    # The builder's map grows towards the lower right corner.
    height, width, _ = coloured.shape
    tinted = np.abs(coloured[..., 0] - coloured[..., 2])
    assert tinted[: height // 3, : width // 2].mean() < 3
    assert tinted[-height // 4 :, width // 2 : width // 2 + 150].mean() > 15
    page.fill("input[data-heat-opacity]", "10")
    assert np.abs(greys(page)[..., 0] - greys(page)[..., 2]).mean() < tinted.mean() / 2
    strengths = []
    for said in ("20", "45", "70", "20"):
        page.locator("#viewer canvas").focus()
        page.keyboard.press("o")
        assert page.input_value("input[data-heat-opacity]") == said
        strengths.append(np.abs(greys(page)[..., 0] - greys(page)[..., 2]).mean())
    assert strengths[0] < strengths[1] < strengths[2]
    assert strengths[3] == strengths[0]
    page.keyboard.press("h")
    assert (greys(page) == without).all()


def test_images_of_a_study_are_chosen_and_marked(signed_in: SignIn, blobs: Blobs) -> None:
    frontal, _ = a_study_with_a_lateral(blobs)
    page = open_study(signed_in("alice", Role.RADIOLOGIST), frontal.study_id)
    first = greys(page)
    assert page.locator(".strip button").count() == 2
    page.keyboard.press(".")
    page.wait_for_function("() => document.querySelector('[data-not-read]')?.textContent.includes('lateral')")
    page.wait_for_selector("#viewer[data-state=full]")
    settle(page)
    assert np.abs(greys(page) - first).mean() > 0.5
    assert page.locator('[data-overlay="bottomLeft"]').inner_text().startswith("LL")
    assert page.locator('button[data-do="heat"]').is_disabled()
    assert page.locator('.strip button[aria-current="true"]').inner_text().startswith("2: LL")


def test_an_image_that_cannot_be_decoded_says_why(signed_in: SignIn, blobs: Blobs) -> None:
    with transaction() as session:
        broken = a_dicom()[:-20_000]
        try:
            admission = admit(session, blobs, broken)
        except Exception:  # noqa: BLE001
            pytest.skip("the door refuses a truncated file already")
    page = signed_in("alice", Role.RADIOLOGIST)
    page.goto(f"/studies/{admission.study_id}")
    page.wait_for_selector("#viewer[data-state=failed]")
    assert len(page.locator("[data-loading]").inner_text()) > 20


@pytest.mark.parametrize(("width", "height"), [(1280, 800), (1920, 1080), (3840, 2160), (820, 1180)])
def test_the_study_page_fits_every_screen(signed_in: SignIn, blobs: Blobs, width: int, height: int) -> None:
    admission = a_screened_study(blobs, rows=1600, columns=1350)
    page = open_study(signed_in("alice", Role.RADIOLOGIST, width=width, height=height), admission.study_id)
    assert page.evaluate("() => document.documentElement.scrollWidth <= window.innerWidth")
    box = page.locator("#viewer canvas").bounding_box()
    assert box["width"] > width * 0.6
    assert box["height"] > height * 0.5
    page.goto("/")
    assert page.evaluate("() => document.documentElement.scrollWidth <= window.innerWidth")


def test_windowing_five_megapixels_keeps_up_with_the_hand(
    signed_in: SignIn, blobs: Blobs, record_property: Any
) -> None:
    admission = an_admitted_study(blobs, rows=2500, columns=2000)
    page = open_study(signed_in("alice", Role.RADIOLOGIST, width=1280, height=800), admission.study_id)
    open_study(page, admission.study_id)  # the second reader of a study finds its pixels decoded
    full_depth_after = page.evaluate(
        "() => performance.getEntriesByName('full-depth-painted')[0].startTime"
        " - performance.getEntriesByName('viewer-started')[0].startTime"
    )
    record_property("full depth painted, ms after the script began", round(full_depth_after))
    for name, key in (("whole image", "f"), ("one to one", "a")):
        page.keyboard.press(key)
        settle(page)
        milliseconds = page.evaluate(_MILLISECONDS_A_DRAG)
        record_property(f"a new window, {name}, ms", round(milliseconds, 1))
        assert milliseconds < 100


# Real pointer events, each followed by the frame that paints it.
_MILLISECONDS_A_DRAG = """async () => {
  const canvas = document.querySelector('#viewer canvas');
  const at = (type, x) => canvas.dispatchEvent(new PointerEvent(type, {
    pointerId: 1, isPrimary: true, button: 0, buttons: 1, clientX: 300 + x, clientY: 300, bubbles: true,
  }));
  canvas.setPointerCapture = () => undefined;
  const frame = () => new Promise((done) => requestAnimationFrame(done));
  at('pointerdown', 0);
  await frame();
  const paints = [];
  for (let x = 1; x <= 20; x++) {
    at('pointermove', 3 * x);
    const before = performance.getEntriesByName('paint').length;
    await frame();
    await frame();
    const entries = performance.getEntriesByName('paint').slice(before);
    paints.push(...entries.map((entry) => entry.duration));
  }
  at('pointerup', 60);
  paints.sort((a, b) => a - b);
  return paints[Math.floor(paints.length / 2)];
}"""
