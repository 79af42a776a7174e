"""The pictures of the README: the sample studies, screened by a real worker, as a newcomer first sees them.

Set FIRSTREAD_PICTURES to a folder (docs/images) to keep them.
"""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from PIL import Image as Picture

from app.cli.samples import SAMPLES, admit_samples
from app.domain.roles import Role
from app.settings import settings
from tests.browser.conftest import SignIn

_KEPT = os.environ.get("FIRSTREAD_PICTURES")
"""Read before the tests' own fixtures take the service's settings out of the environment."""


def keep(page: Any, path: Path, *, colours: int | None = 256) -> None:
    """A screenshot; 256 colours take a third of the bytes and show only where hues run into each other."""
    with Picture.open(io.BytesIO(page.screenshot())) as shot:
        picture = shot.convert("RGB")
        if colours is not None:
            picture = picture.quantize(colours, method=Picture.Quantize.MEDIANCUT)
        picture.save(path, optimize=True)


def test_the_samples_make_the_pictures_of_the_readme(
    signed_in: SignIn, worker: Callable[[], None], tmp_path: Path
) -> None:
    folder = Path(_KEPT or tmp_path)
    worker()
    assert admit_samples(settings()) == len(SAMPLES)
    page = signed_in("admin", Role.RADIOLOGIST, Role.ADMINISTRATOR, Role.AUDITOR)
    page.wait_for_function(
        "() => !document.querySelector('tr[data-state=admitted], tr[data-state=screening]')", timeout=120_000
    )
    page.goto("/")
    page.wait_for_selector("#live[data-live=on]")
    assert page.locator("#rows tr[data-study]").count() == len(SAMPLES)
    assert "Not read by the network. The patient is 47 years" in page.inner_text("#rows")
    keep(page, folder / "worklist.png")
    page.click("#rows tr:not([data-lane=unread]) a.name >> nth=0")
    page.wait_for_selector("#viewer[data-state=full]")
    page.wait_for_timeout(200)
    keep(page, folder / "study.png")
    # Only a bundle whose map passed its test shows it.
    if page.locator("[data-map-withheld]").count() == 0:
        page.keyboard.press("h")
        page.wait_for_selector("#viewer[data-heat=true]")
        keep(page, folder / "heat-map.png", colours=None)
    assert (folder / "worklist.png").stat().st_size > 20_000
