"""The viewer's canvas as a reader sees and moves it."""

from __future__ import annotations

import base64
import io
from typing import Any

import numpy as np
from PIL import Image as Picture

from app.dicom.write import wrap


def open_study(page: Any, study_id: Any) -> Any:
    """The study's page with its image at full depth."""
    page.goto(f"/studies/{study_id}")
    page.wait_for_selector("#viewer[data-state=full]")
    settle(page)
    return page


def settle(page: Any) -> None:
    """Whatever was asked of the viewer is painted."""
    page.evaluate("() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")


def greys(page: Any, pane: int = 0) -> np.ndarray:
    """What the canvas of that pane shows, as it lies on the screen."""
    settle(page)
    data = (
        page.locator("#viewer .pane canvas").nth(pane).evaluate("(canvas) => canvas.toDataURL('image/png')")
    )
    with Picture.open(io.BytesIO(base64.b64decode(data.split(",", 1)[1]))) as picture:
        return np.asarray(picture.convert("RGB")).astype(int)


def state(page: Any, name: str) -> str:
    settle(page)
    return page.get_attribute("#viewer", f"data-{name}") or ""


def middle(page: Any) -> tuple[float, float]:
    box = page.locator("#viewer canvas").first.bounding_box()
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2


def drag(page: Any, dx: int, dy: int, *, button: str = "left") -> None:
    x, y = middle(page)
    page.mouse.move(x, y)
    page.mouse.down(button=button)
    page.mouse.move(x + dx, y + dy, steps=4)
    page.mouse.up(button=button)
    settle(page)


def draw(page: Any, start: tuple[int, int], end: tuple[int, int]) -> None:
    """Pressed, moved and released at places counted from the middle of the picture."""
    x, y = middle(page)
    page.mouse.move(x + start[0], y + start[1])
    page.mouse.down()
    page.mouse.move(x + end[0], y + end[1], steps=4)
    page.mouse.up()
    settle(page)


def a_ramp(**tags: Any) -> bytes:
    """400 x 300 pixels of 12 bits: the stored value is ten times the column."""
    pixels = np.tile(np.arange(400, dtype=np.uint16) * 10, (300, 1))
    photometric = tags.pop("photometric", "MONOCHROME2")
    return wrap(pixels, bits_stored=12, photometric=photometric, tags=tags)
