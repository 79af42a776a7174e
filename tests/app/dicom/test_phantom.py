"""Generated phantoms: what they look like, and that nobody can take one for a patient."""

from __future__ import annotations

import numpy as np
import pytest

from app.dicom.header import DICOM, read_header
from app.dicom.phantom import PHANTOM_STYLES, PhantomStyle, draw_phantom
from app.dicom.pixels import present
from app.dicom.write import write_phantom

from .conftest import Keep

# Boxes of rows and columns, in shares of the image. The patient's right is on the left of the image.
RIGHT_LOWER = (slice(0.62, 0.72), slice(0.22, 0.36))
LEFT_UPPER = (slice(0.30, 0.38), slice(0.66, 0.78))
ABOVE_SHOULDER = (slice(0.4, 0.6), slice(0.0, 0.04))


def mean(pixels: np.ndarray, box: tuple[slice, slice]) -> float:
    rows, columns = (
        slice(int(part.start * size), int(part.stop * size))
        for part, size in zip(box, pixels.shape, strict=True)
    )
    return float(pixels[rows, columns].mean())


@pytest.mark.parametrize("style", PHANTOM_STYLES)
def test_a_phantom_fills_12_bits_and_repeats_itself(style: PhantomStyle) -> None:
    first, second = (draw_phantom(style=style, seed=4, rows=240, columns=200) for _ in range(2))
    np.testing.assert_array_equal(first.pixels, second.pixels)
    assert first.pixels.shape == (240, 200)
    assert first.pixels.max() <= 4095
    assert np.ptp(first.pixels) > 3000


def test_lungs_are_dark_and_the_spine_is_bright() -> None:
    pixels = draw_phantom(rows=480, columns=400).pixels
    lung, spine = mean(pixels, LEFT_UPPER), mean(pixels, (slice(0.4, 0.5), slice(0.48, 0.52)))
    assert spine > 1.4 * lung
    assert mean(pixels, ABOVE_SHOULDER) < lung


def test_an_opacity_lies_where_its_style_says() -> None:
    normal = draw_phantom(rows=480, columns=400).pixels
    right = draw_phantom(style="right-lower opacity", rows=480, columns=400).pixels
    left = draw_phantom(style="left-upper opacity", rows=480, columns=400).pixels
    assert mean(right, RIGHT_LOWER) > 1.2 * mean(normal, RIGHT_LOWER)
    assert mean(left, LEFT_UPPER) > 1.2 * mean(normal, LEFT_UPPER)
    assert mean(right, LEFT_UPPER) == pytest.approx(mean(normal, LEFT_UPPER), rel=0.05)


def test_other_seeds_are_other_bodies() -> None:
    one, two = (draw_phantom(seed=seed, rows=240, columns=200).pixels.astype(int) for seed in (1, 2))
    assert np.abs(one - two).mean() > 20


def test_a_phantom_says_that_it_is_one_in_its_name_its_comments_and_its_pixels(keep: Keep) -> None:
    path = keep(write_phantom(rows=640, columns=540))
    header = read_header(path)
    assert header.patient_name is not None
    assert header.patient_name.startswith("PHANTOM^")
    assert header.patient_id is not None
    assert header.patient_id.startswith("PHANTOM")
    assert header.burned_in_annotation == "YES"
    comments = [header.attributes[tag]["Value"][0] for tag in ("00204000", "00082111")]
    assert all("Generated phantom" in comment for comment in comments)
    shown = present(path, DICOM, preview_side=64).grey
    letters = shown[16:32, 18:120]
    assert letters.max() > 235
    assert np.median(letters) < 200
