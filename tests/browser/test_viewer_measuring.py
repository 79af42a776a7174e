"""Lengths and the magnifier: right in millimetres, where the picture goes, by hand, by keys and by touch."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from app.blobs import Blobs
from app.commands import preferences
from app.dicom.write import wrap
from app.domain.roles import Role
from app.records.engine import transaction
from tests.browser.canvas import a_ramp, drag, draw, greys, middle, open_study, settle, state
from tests.browser.conftest import SignIn, Watch
from tests.builders import PASSWORD, a_screened_study, a_user, admit


def lengths(page: Any) -> list[str]:
    settle(page)
    return page.locator(".labels .length").all_text_contents()


def open_ramp(signed_in: SignIn, blobs: Blobs, **tags: Any) -> Any:
    with transaction() as session:
        admission = admit(session, blobs, a_ramp(WindowCenter=2000, WindowWidth=4000, **tags))
    page = open_study(signed_in("alice", Role.RADIOLOGIST), admission.study_id)
    page.keyboard.press("a")
    page.keyboard.press("d")
    return page


@pytest.mark.parametrize(
    ("tags", "across", "down"),
    [
        ({"PixelSpacing": [0.5, 0.5]}, "50.0 mm", "25.0 mm"),
        ({"PixelSpacing": [0.5, 0.5], "ImagerPixelSpacing": [0.6, 0.6]}, "50.0 mm", "25.0 mm"),
        ({"ImagerPixelSpacing": [0.5, 0.5]}, "50.0 mm at the detector", "25.0 mm at the detector"),
        (
            {"PixelSpacing": [0.5, 0.5], "ImagerPixelSpacing": [0.5, 0.5]},
            "50.0 mm at the detector",
            "25.0 mm at the detector",
        ),
        ({"ImagerPixelSpacing": None}, "100 pixels", "50 pixels"),
        ({"PixelSpacing": [1.0, 0.5]}, "50.0 mm", "25.0 mm"),  # rows are twice as far apart as columns
    ],
)
def test_a_length_is_in_what_the_header_knows(
    signed_in: SignIn, blobs: Blobs, tags: dict[str, Any], across: str, down: str
) -> None:
    page = open_ramp(signed_in, blobs, **tags)
    draw(page, (-50, -60), (50, -60))
    draw(page, (-80, -40), (-80, 10))
    assert lengths(page) == [across, down]


def test_a_length_follows_the_picture_and_stays_the_same(signed_in: SignIn, blobs: Blobs) -> None:
    page = open_ramp(signed_in, blobs, PixelSpacing=[1.0, 0.5])
    draw(page, (-60, -30), (40, 20))
    # 100 columns of half a millimetre; 50 pixels of the screen are 25 rows of one millimetre.
    assert lengths(page) == [f"{np.hypot(50, 25):.1f} mm"]
    line = page.locator(".shape.length .edge")
    ends = [float(line.get_attribute(name)) for name in ("x1", "y1", "x2", "y2")]
    page.keyboard.press("m")
    settle(page)
    mirrored = [float(line.get_attribute(name)) for name in ("x1", "y1", "x2", "y2")]
    width = page.locator("#viewer canvas").bounding_box()["width"]
    assert np.allclose([width - mirrored[0], mirrored[1]], ends[:2], atol=0.5)
    for key in ("t", "f", "t"):
        page.keyboard.press(key)
        assert lengths(page) == [f"{np.hypot(50, 25):.1f} mm"]
    page.mouse.move(*middle(page))
    page.mouse.wheel(0, -300)
    page.wait_for_timeout(100)
    assert lengths(page) == [f"{np.hypot(50, 25):.1f} mm"]


def test_on_another_screen_the_picture_stays_under_its_lengths(signed_in: SignIn, blobs: Blobs) -> None:
    """The window is dragged to a screen of other pixels: its size stays, its devicePixelRatio does not."""
    pixels = np.zeros((300, 400), np.uint16)
    pixels[:, 100:300] = 4000
    tags = {"WindowCenter": 2000, "WindowWidth": 4000, "PixelSpacing": [0.5, 0.5]}
    with transaction() as session:
        admission = admit(session, blobs, wrap(pixels, bits_stored=12, tags=tags))
    page = open_study(signed_in("alice", Role.RADIOLOGIST), admission.study_id)
    page.keyboard.press("d")
    canvas = page.locator("#viewer canvas").first
    first = seen_edges(page)
    for ratio in (2, 1, 1.5):
        to_a_screen(page, ratio)
        for _ in range(2):
            page.keyboard.press("i")  # whatever paints anew
            settle(page)
        left, right, height = seen_edges(page)
        assert (left, right, height) == pytest.approx(first, abs=1.5), ratio
        box = canvas.bounding_box()
        assert canvas.evaluate("(it) => it.width") == pytest.approx(box["width"] * ratio, abs=1), ratio
        page.mouse.move(left, height)
        page.mouse.down()
        page.mouse.move(right, height, steps=4)
        page.mouse.up()
        [length] = lengths(page)
        assert float(length.removesuffix(" mm")) == pytest.approx(100, abs=1), ratio
        page.keyboard.press("Delete")


def test_on_another_screen_the_picture_is_as_sharp_as_the_screen(signed_in: SignIn, blobs: Blobs) -> None:
    page = open_ramp(signed_in, blobs)
    page.locator("#viewer canvas").first.evaluate(
        "(it) => { it.style.width = '600px'; it.style.height = '400px'; }"
    )
    for wider, ratio in enumerate((2, 1, 1.5)):
        # Chromium's emulation tells a page of another resolution only together with another width.
        to_a_screen(page, ratio, width=1281 + wider)
        page.wait_for_function(
            f"() => document.querySelector('#viewer canvas').width === {round(600 * ratio)}"
        )


def to_a_screen(page: Any, ratio: float, width: int = 1280) -> None:
    screen = {"width": width, "height": 800, "deviceScaleFactor": ratio, "mobile": False}
    page.context.new_cdp_session(page).send("Emulation.setDeviceMetricsOverride", screen)
    page.wait_for_function(f"() => devicePixelRatio === {ratio}")
    settle(page)


def seen_edges(page: Any) -> tuple[float, float, float]:
    """Where on the page a bright block is seen: its left and right edge, and the middle of its height."""
    shown = greys(page)[:, :, 0]
    box = page.locator("#viewer canvas").first.bounding_box()
    across, down = box["width"] / shown.shape[1], box["height"] / shown.shape[0]
    rows, columns = np.nonzero(shown > 128)
    left, right = columns.min() * across, (columns.max() + 1) * across
    return box["x"] + left, box["x"] + right, box["y"] + (rows.min() + rows.max()) / 2 * down


def test_a_length_is_moved_reshaped_and_deleted(signed_in: SignIn, blobs: Blobs) -> None:
    page = open_ramp(signed_in, blobs, PixelSpacing=[0.5, 0.5])
    draw(page, (-50, 0), (50, 0))
    page.keyboard.press("w")
    window = state(page, "window")
    line = page.locator(".shape.length .edge")
    before = float(line.get_attribute("y1"))
    draw(page, (0, 0), (0, 30))  # taken by the line, not by the window
    assert float(line.get_attribute("y1")) - before == pytest.approx(30, abs=1)
    assert state(page, "window") == window
    draw(page, (50, 30), (90, 30))
    assert lengths(page) == ["70.0 mm"]
    page.keyboard.press("ArrowRight")
    assert lengths(page) == ["70.5 mm"], "the end in focus moves by one pixel of the screen"
    assert page.locator('[data-do="delete"]').is_enabled()
    page.keyboard.press("Delete")
    assert lengths(page) == []
    assert page.locator('[data-do="delete"]').is_disabled()


def test_a_length_can_be_clicked_and_can_be_made_by_keys_alone(signed_in: SignIn, blobs: Blobs) -> None:
    page = open_ramp(signed_in, blobs, PixelSpacing=[0.5, 0.5])
    x, y = middle(page)
    page.mouse.click(x - 40, y)
    page.mouse.move(x, y, steps=3)
    assert lengths(page) == ["20.0 mm"], "the second end follows the pointer"
    page.mouse.click(x + 40, y)
    assert lengths(page) == ["40.0 mm"]
    page.mouse.click(x - 40, y + 40)
    page.keyboard.press("Escape")
    assert lengths(page) == ["40.0 mm"], "what was begun is dropped"
    page.locator("#viewer canvas").focus()
    page.keyboard.press("Enter")
    assert len(lengths(page)) == 2
    page.keyboard.press("Delete")
    assert lengths(page) == ["40.0 mm"]


def test_the_magnifier_shows_the_place_under_the_pointer_larger(signed_in: SignIn, blobs: Blobs) -> None:
    page = open_ramp(signed_in, blobs)
    page.keyboard.press("g")
    assert page.locator('[data-do="tool-magnify"]').get_attribute("aria-pressed") == "true"
    x, y = middle(page)
    page.mouse.move(x - 50, y)
    lens = page.locator(".lens")
    assert lens.get_attribute("data-magnified") == "2"
    box = lens.bounding_box()
    assert box["x"] + box["width"] / 2 == pytest.approx(x - 50, abs=1.5)
    shown = page.evaluate(
        "() => { const c = document.querySelector('.lens'); const row = c.getContext('2d')"
        ".getImageData(0, c.height / 2, c.width, 1).data; return [...row].filter((_, i) => i % 4 === 0); }"
    )
    # The ramp rises by ten a column: magnified twice, by five a pixel of the screen.
    slope = np.polyfit(np.arange(40, 200), shown[40:200], 1)[0]
    assert slope == pytest.approx(5 / 4000 * 255, rel=0.05)
    page.mouse.move(5, 5)
    assert lens.count() == 0


def test_the_magnifier_goes_with_the_pointer(signed_in: SignIn, blobs: Blobs) -> None:
    admission = a_screened_study(blobs)
    page = open_study(signed_in("alice", Role.RADIOLOGIST), admission.study_id)
    page.keyboard.press("g")
    lens = page.locator(".lens")
    for end in ("pointercancel", "pointerup"):
        page.evaluate(_TOUCHES, [[1, "pointerdown", 300, 300], [1, "pointermove", 320, 300]])
        assert lens.count() == 1
        page.evaluate(_TOUCHES, [[1, end, 320, 300]])
        assert lens.count() == 0, end
    page.mouse.move(*middle(page))
    assert lens.count() == 1
    page.mouse.move(middle(page)[0], 20)  # over the page's head
    assert lens.count() == 0


@pytest.mark.parametrize("key", ["d", "x", "e"])
def test_what_is_being_drawn_when_the_pointer_is_taken_away_is_dropped(
    signed_in: SignIn, blobs: Blobs, key: str
) -> None:
    admission = a_screened_study(blobs)
    page = open_study(signed_in("alice", Role.RADIOLOGIST), admission.study_id)
    page.keyboard.press(key)
    begun = [[1, "pointerdown", 300, 300], [1, "pointermove", 380, 340]]
    page.evaluate(_TOUCHES, begun)
    settle(page)
    assert page.locator(".shape").count() == 1
    page.evaluate(_TOUCHES, [[1, "pointercancel", 380, 340]])
    settle(page)
    assert page.locator(".shape").count() == 0
    assert page.input_value("#correct input[data-marks]") in ("", "[]")
    page.evaluate(_TOUCHES, [*begun, [1, "pointerup", 380, 340]])
    settle(page)
    assert page.locator(".shape").count() == 1, "and the next one is drawn as ever"


def one_finger(start: int, end: int) -> list[list[Any]]:
    return [[1, "pointerdown", start, 300], [1, "pointermove", end, 300], [1, "pointerup", end, 300]]


def test_two_fingers_zoom_and_move_and_one_finger_is_the_tool(signed_in: SignIn, blobs: Blobs) -> None:
    admission = a_screened_study(blobs)
    page = open_study(signed_in("alice", Role.RADIOLOGIST, width=820, height=1180), admission.study_id)
    fitted, window = float(state(page, "scale")), state(page, "window")
    page.evaluate(_TOUCHES, one_finger(300, 340))
    assert state(page, "window") != window
    window = state(page, "window")
    page.keyboard.press("d")
    pinch = [
        *([1, "pointerdown", 300, 300], [2, "pointerdown", 400, 300]),
        *([1, "pointermove", 250, 320], [2, "pointermove", 450, 320]),
        *([1, "pointerup", 250, 320], [2, "pointermove", 460, 320], [2, "pointerup", 450, 320]),
    ]
    page.evaluate(_TOUCHES, pinch)
    assert float(state(page, "scale")) == pytest.approx(2 * fitted, rel=0.1)
    assert state(page, "window") == window
    assert lengths(page) == [], "a pinch draws nothing"
    page.evaluate(_TOUCHES, one_finger(300, 380))
    assert len(lengths(page)) == 1


def test_fingers_on_the_glass_window_zoom_and_move_and_leave_the_page_where_it_is(
    chromium: Any, server: str, watch: Watch, blobs: Blobs
) -> None:
    """As the browser itself tells of touches, on a screen that has them."""
    admission = a_screened_study(blobs)
    with transaction() as session:
        preferences.offer_guide(session, by=a_user(session, "alice", Role.RADIOLOGIST), offer=False)
    context = chromium.new_context(
        base_url=server, viewport={"width": 820, "height": 1180}, has_touch=True, device_scale_factor=2
    )
    page = context.new_page()
    watch.attach(page)
    page.goto("/sign-in")
    page.fill("#username", "alice")
    page.fill("#password", PASSWORD)
    page.tap("button.main")
    page.wait_for_selector("#rows")
    page.tap(f"#s-{admission.study_id} a.name")
    page.wait_for_selector("#viewer[data-state=full]")
    x, y = middle(page)
    glass = context.new_cdp_session(page)

    def touch(*steps: list[tuple[float, float]]) -> None:
        for number, fingers in enumerate(steps):
            points = [{"x": x + dx, "y": y + dy, "id": at} for at, (dx, dy) in enumerate(fingers)]
            kind = "touchStart" if number == 0 else "touchMove"
            glass.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})
        glass.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
        settle(page)

    fitted, window = float(state(page, "scale")), state(page, "window")
    touch([(0, 0)], [(30, 30)], [(60, 60)])
    windowed = state(page, "window")
    assert windowed != window
    touch([(-40, 0), (40, 0)], [(-60, 0), (60, 0)], [(-80, 0), (80, 0)])
    zoomed = float(state(page, "scale"))
    assert zoomed == pytest.approx(2 * fitted, rel=0.15)
    assert state(page, "window") == windowed
    before = greys(page)
    touch([(-40, 0), (40, 0)], [(-40, 60), (40, 60)], [(-40, 120), (40, 120)])
    assert np.abs(greys(page) - before).mean() > 1, "two fingers move the picture"
    assert float(state(page, "scale")) == pytest.approx(zoomed, rel=0.05)
    page.tap('[data-do="tool-pan"]')
    before = greys(page)
    touch([(0, 0)], [(0, -60)], [(0, -120)])
    assert np.abs(greys(page) - before).mean() > 1, "one finger, where that is the tool"
    assert state(page, "window") == windowed
    assert page.evaluate("() => [scrollY, visualViewport.scale]") == [0, 1]
    context.close()


def test_the_picture_is_moved_zoomed_and_windowed_by_keys(signed_in: SignIn, blobs: Blobs) -> None:
    admission = a_screened_study(blobs)
    page = open_study(signed_in("alice", Role.RADIOLOGIST), admission.study_id)
    first, window, scale = greys(page), state(page, "window"), float(state(page, "scale"))
    page.locator("#viewer canvas").focus()
    page.keyboard.press("+")
    assert float(state(page, "scale")) > scale
    page.keyboard.press("-")
    page.keyboard.press("ArrowLeft")
    assert np.abs(greys(page) - first).mean() > 1
    page.keyboard.press("Shift+ArrowDown")
    assert float(state(page, "window").split(",")[0]) > float(window.split(",")[0])
    drag(page, 0, 0)
    page.keyboard.press("r")
    assert (greys(page) == first).all()


_TOUCHES = """(events) => {
  const canvas = document.querySelector('#viewer canvas');
  canvas.setPointerCapture = () => undefined;
  const box = canvas.getBoundingClientRect();
  for (const [pointerId, type, x, y] of events) canvas.dispatchEvent(new PointerEvent(type, {
    pointerId, pointerType: 'touch', isPrimary: pointerId === 1, button: 0, buttons: 1,
    clientX: box.left + x, clientY: box.top + y, bubbles: true,
  }));
}"""
