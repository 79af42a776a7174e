"""Windows against the formulas of PS3.3 C.11.2.1, written out value by value."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.dicom.windowing import (
    VoiLut,
    Window,
    WindowFunction,
    apply_voi_lut,
    apply_window,
    full_range_window,
    robust_window,
)

centers = st.floats(-70_000, 70_000)
values = st.lists(st.floats(-70_000, 70_000), min_size=1, max_size=40)


def linear(x: float, c: float, w: float) -> float:
    """PS3.3 C.11.2.1.2.1, y from 0 to 1."""
    if x <= c - 0.5 - (w - 1) / 2:
        return 0.0
    if x > c - 0.5 + (w - 1) / 2:
        return 1.0
    return (x - (c - 0.5)) / (w - 1) + 0.5


def linear_exact(x: float, c: float, w: float) -> float:
    """PS3.3 C.11.2.1.3.2."""
    if x <= c - w / 2:
        return 0.0
    if x > c + w / 2:
        return 1.0
    return (x - c) / w + 0.5


def sigmoid(x: float, c: float, w: float) -> float:
    """PS3.3 C.11.2.1.3.1."""
    exponent = -4 * (x - c) / w
    return 0.0 if exponent > 700 else 1 / (1 + math.exp(exponent))


REFERENCES = {"LINEAR": linear, "LINEAR_EXACT": linear_exact, "SIGMOID": sigmoid}


@given(x=values, c=centers, w=st.floats(1, 70_000))
@pytest.mark.parametrize("function", ["LINEAR", "LINEAR_EXACT", "SIGMOID"])
def test_each_function_is_the_one_of_the_standard(
    function: WindowFunction, x: list[float], c: float, w: float
) -> None:
    brightness = apply_window(np.array(x), Window(c, w, "", function))
    expected = [REFERENCES[function](value, c, w) for value in x]
    # Near the ends of a tiny window the order of operations shows; a hundredth of a grey level is no
    # difference.
    np.testing.assert_allclose(brightness, expected, atol=4e-5 if w > 1.01 else 1)


@given(c=st.integers(-1000, 1000), x=st.integers(-2000, 2000))
def test_a_linear_window_of_width_one_is_a_threshold(c: int, x: int) -> None:
    brightness = apply_window(np.array([float(x)]), Window(c, 1))
    assert brightness[0] == (0.0 if x <= c - 0.5 else 1.0)


@given(x=st.lists(st.integers(-500, 5000), min_size=1, max_size=50), first=st.integers(-300, 300))
def test_a_voi_lut_is_read_entry_by_entry_and_holds_its_ends(x: list[int], first: int) -> None:
    entries = tuple((i * 37) % 4096 for i in range(500))
    brightness = apply_voi_lut(np.array(x, dtype=float), VoiLut(first, entries, 12))
    expected = [entries[min(max(value - first, 0), 499)] / 4095 for value in x]
    np.testing.assert_allclose(brightness, expected)


@given(low=st.floats(-5000, 5000), extent=st.floats(1, 9000))
def test_a_full_range_window_spans_black_to_white(low: float, extent: float) -> None:
    window = full_range_window(low, low + extent, "")
    np.testing.assert_allclose(
        apply_window(np.array([low, low + extent / 2, low + extent]), window), [0, 0.5, 1], atol=1e-9
    )


def test_a_robust_window_leaves_out_half_a_percent_at_each_end() -> None:
    counts = np.zeros(4096, dtype=np.int64)
    counts[1000:2001] = 100
    counts[4095] = 400  # burnt-in letters
    window = robust_window(counts, np.arange(4096, dtype=float))
    assert window.center - window.width / 2 == pytest.approx(1005, abs=2)
    assert window.center + window.width / 2 == pytest.approx(1999, abs=2)


def test_an_image_of_nothing_still_gets_a_window() -> None:
    assert robust_window(np.zeros(16, dtype=np.int64), np.arange(16.0)).width > 0
